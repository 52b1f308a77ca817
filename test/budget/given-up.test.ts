import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call, enveloped, pidOf, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const CALLS = 300

/** Bytes in the budget by kind, those that are not 0. */
async function held(url: string): Promise<Record<string, number>> {
  const { text } = await sendWhole(`${url}/metrics`, { headers: { accept: 'application/openmetrics-text' } })
  const lines = [...text.matchAll(/^envd_budget_bytes\{kind="(\w+)"\} (\d+)/gm)]
  expect(lines.length).toBeGreaterThan(5)
  return Object.fromEntries(lines.map(([, kind, bytes]) => [kind, Number(bytes)]).filter(([, bytes]) => bytes !== 0))
}

/** Numbers that a seed repeats (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

function post(path: string, type: string, body: Buffer): Buffer {
  const head = `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`
  return Buffer.concat([Buffer.from(head), body])
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value))
const connectStream = (method: string, message: unknown) =>
  post(`/${method}`, 'application/connect+json', enveloped(json(message)))
const unary = (method: string, message: unknown) => post(`/${method}`, 'application/json', json(message))

/** A request of every kind that holds memory. */
function requests(pid: number, directory: string): readonly Buffer[] {
  const bytes = 'A'.repeat(200_000)
  return [
    connectStream('process.Process/Connect', { process: { pid } }),
    connectStream('process.Process/Start', { process: { cmd: '/bin/echo', args: [bytes.slice(0, 100_000)] } }),
    connectStream('filesystem.Filesystem/WatchDir', { path: directory, recursive: true }),
    connectStream('metrics.Metrics/Watch', {}),
    connectStream('ports.Ports/Watch', {}),
    unary('process.Process/List', {}),
    unary('process.Process/SendInput', { process: { pid }, input: { stdin: bytes } }),
    unary('filesystem.Filesystem/ListDir', { path: '/usr/bin' }),
    post('/init', 'application/json', json({ envVars: { LONG: bytes } })),
    post(`/files?path=${directory}/raw`, 'application/octet-stream', Buffer.alloc(300_000)),
    post(
      `/files?path=${directory}/form`,
      'multipart/form-data; boundary=b',
      Buffer.concat([
        Buffer.from('--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'),
        Buffer.alloc(300_000),
        Buffer.from('\r\n--b--\r\n'),
      ]),
    ),
    Buffer.from(`GET /files?path=/proc/self/../../usr/bin/env HTTP/1.1\r\nHost: x\r\n\r\n`),
    post('/process.Process/Connect', 'application/grpc-web+json', enveloped(json({ process: { pid } }))),
  ]
}

test('calls of all kinds that are given up at any point leave nothing in the budget', async () => {
  await using daemon = await startDaemon()
  await using directory = await makeTmpDir()
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
  console.log(`SEED=${seed}`)
  const below = random(seed)
  const noisy = await start(daemon.url, '/bin/sh', {
    args: ['-c', 'while :; do echo; sleep 0.01; done'],
    stdin: true,
  })
  const pid = await pidOf(noisy)
  noisy.close()
  const kinds = requests(pid, directory.path)
  const one = async () => {
    const request = kinds[below(kinds.length)] ?? Buffer.alloc(0)
    const length = below(3) === 0 ? below(request.length) : request.length
    const pause = below(40)
    const reads = below(2) === 0
    const socket = connect({ host: '127.0.0.1', port: daemon.port })
    socket.on('error', () => {})
    await once(socket, 'connect')
    if (reads) socket.resume()
    else socket.pause()
    socket.write(request.subarray(0, length))
    await delay(pause)
    if (below(2) === 0) socket.resetAndDestroy()
    else socket.destroy()
  }
  for (let done = 0; done < CALLS; done += 10) await Promise.all(Array.from({ length: 10 }, one))
  await call(daemon.url, 'process.Process/SendSignal', { process: { pid }, signal: 'SIGNAL_SIGKILL' })
  await expect.poll(() => held(daemon.url), { timeout: 20_000 }).toEqual({})
}, 120_000)
