import { once } from 'node:events'
import { connect } from 'node:net'
import { createClient } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { describe, expect, test, vi } from 'vitest'
import { Process } from '../../src/gen/process/process_pb.js'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { send, sendWhole } from '../_util/http.ts'
import { open, type ProcessMessage } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { parseOpenMetrics } from '../metrics/openmetrics.ts'
import { sendInput } from '../process/calls.ts'
import { outputUntil, startedPid } from '../process/following.ts'
import { freePort } from '../supervisor/free-port.ts'
import { activity, reasonsOf, type StatusJson } from './activity-client.ts'

/** A sign is a reason for 10 s; the rest is for a busy machine. */
const FORGETTING = { timeout: 25_000, interval: 250 }
const LONG = 60_000

/** Starts a command, and gives its pid and stream. */
async function start(daemon: Daemon, cmd: string, args: readonly string[], more: object = {}) {
  const stream = await open<ProcessMessage>(
    daemon.url,
    'process.Process/Start',
    { process: { cmd, args }, stdin: false, ...more },
    { headers: { 'user-agent': 'reader-of-tests/1' } },
  )
  return { stream, pid: await startedPid(stream) }
}

/** The same, and leaves its stream. */
async function leave(daemon: Daemon, cmd: string, args: readonly string[], more: object = {}): Promise<number> {
  const { stream, pid } = await start(daemon, cmd, args, more)
  stream.close()
  return pid
}

const SERVER = "require('net').createServer((s) => s.on('error', () => {})).listen(+process.argv[1], '127.0.0.1')"

describe.concurrent('activity', { timeout: LONG }, () => {
  test('a sleeping server with an open port and no connection is idle, and busy while a client is connected', async () => {
    const here = '127.0.77.1'
    await using daemon = await startDaemon({ args: ['-forward-address', here] })
    const port = await freePort()
    await leave(daemon, process.execPath, ['-e', SERVER, String(port)])
    await vi.waitUntil(async () => !(await activity(daemon.url)).busy, FORGETTING)
    const idle = await activity(daemon.url)
    expect(idle).toMatchObject({ windowSeconds: 10 })
    expect(idle.idleSeconds).toBeGreaterThan(10)
    expect(idle.reasons).toBeUndefined()
    expect(Date.parse(idle.since) / 1000).toBeCloseTo(Date.now() / 1000 - (idle.idleSeconds ?? 0), 0)

    const client = connect(port, here)
    await once(client, 'connect')
    await vi.waitUntil(async () => (await reasonsOf(daemon.url, 'KIND_PORT'))[0]?.connections === 1, FORGETTING)
    const { busy, idleSeconds, reasons } = await activity(daemon.url)
    expect([busy, idleSeconds]).toEqual([true, undefined])
    expect(reasons).toMatchObject([{ kind: 'KIND_PORT', port, connections: 1 }])
    client.destroy()
    await vi.waitUntil(async () => !(await activity(daemon.url)).busy, FORGETTING)
  })

  test('a compile that writes nothing and has no client is busy, by the CPU of its many short children', async () => {
    await using daemon = await startDaemon()
    const once = "echo '#include <string>' | g++ -x c++ -fsyntax-only -"
    const pid = await leave(daemon, 'sh', ['-c', `while :; do ${once}; done`], { tag: 'compile' })
    const asleep = await leave(daemon, 'sleep', ['1000'])
    await vi.waitUntil(async () => (await reasonsOf(daemon.url, 'KIND_CPU')).some((one) => one.pid === pid), FORGETTING)
    const [reason, ...others] = await reasonsOf(daemon.url, 'KIND_CPU')
    expect(others).toEqual([])
    expect(reason).toMatchObject({ pid, tag: 'compile', command: 'sh' })
    expect(reason?.pid).not.toBe(asleep)
    // For longer than the signs of its start count.
    const began = Date.now()
    await vi.waitUntil(() => Date.now() - began > 12_000, { timeout: LONG })
    const status = await activity(daemon.url)
    expect(status.reasons?.map(({ kind }) => kind)).toEqual(['KIND_CPU'])
    expect(Date.now() - Date.parse(status.since)).toBeGreaterThan(12_000)
  })

  test('a silent stream with a client is named, in every protocol, with its client and command', async () => {
    await using daemon = await startDaemon()
    const { stream, pid } = await start(daemon, 'sleep', ['1000'], { tag: 'silent' })
    const grpc = createClient(Process, createGrpcTransport({ baseUrl: daemon.url }))
    const leaving = new AbortController()
    const second = grpc.connect({ process: { selector: { case: 'pid', value: pid } } }, { signal: leaving.signal })
    const reading = (async () => {
      for await (const _ of second);
    })().catch(() => {})
    await vi.waitUntil(async () => (await reasonsOf(daemon.url, 'KIND_STREAM')).length === 2, FORGETTING)
    const named = { pid, tag: 'silent', command: 'sleep' }
    const address = '127.0.0.1'
    expect(await reasonsOf(daemon.url, 'KIND_STREAM')).toMatchObject([
      { ...named, reader: { method: 'process.Process/Start', userAgent: 'reader-of-tests/1', address } },
      {
        ...named,
        reader: { method: 'process.Process/Connect', userAgent: expect.stringContaining('connect-es'), address },
      },
    ])
    stream.close()
    leaving.abort()
    await reading
    await vi.waitUntil(async () => !(await activity(daemon.url)).busy, FORGETTING)
  })

  test('output, input and transfers are reasons of their own, each with the time of its last sign', async () => {
    await using dir = await makeTmpDir()
    await using daemon = await startDaemon()
    const { stream, pid } = await start(daemon, 'cat', [], { stdin: true })
    expect((await sendInput(daemon.url, { pid }, { stdin: 'a\n' })).status).toBe(200)
    await outputUntil(stream, 'a\n')
    stream.close()
    const upload = await send(`${daemon.url}/files?path=${dir.path}/file`, { method: 'GET' })
    upload.close()
    const { reasons = [], lastSigns = [] } = await activity(daemon.url)
    const kinds = reasons.map(({ kind }) => kind)
    expect(kinds).toEqual(expect.arrayContaining(['KIND_OUTPUT', 'KIND_INPUT', 'KIND_DOWNLOAD', 'KIND_CALL']))
    expect(reasons.find(({ kind }) => kind === 'KIND_OUTPUT')).toMatchObject({ pid, command: 'cat' })
    for (const { time } of lastSigns) expect(Math.abs(Date.now() - Date.parse(time))).toBeLessThan(10_000)
  })

  test('looking does not count: probes, metrics, lists and watches leave it idle, and Watch reports the changes', async () => {
    await using daemon = await startDaemon()
    const watching = await open<{ status?: StatusJson; keepalive?: object }>(
      daemon.url,
      'activity.v1.Activity/Watch',
      {},
    )
    expect((await watching.next()).status?.busy).toBeUndefined()
    const metrics = await open(daemon.url, 'metrics.Metrics/Watch', {})
    for (const path of ['/health', '/metrics', '/ready']) await sendWhole(daemon.url + path)
    await open(daemon.url, 'ports.Ports/Watch', {})
    expect((await activity(daemon.url)).reasons).toBeUndefined()
    const { stream } = await start(daemon, 'true', [])
    await stream.rest()
    expect((await watching.next()).status?.busy).toBe(true)
    for (let last: StatusJson | undefined; last?.busy !== undefined || last === undefined; )
      last = (await watching.next()).status
    metrics.close()
    watching.close()
  })

  test('idle seconds stand in OpenMetrics and in GET /ready?verbose', async () => {
    await using daemon = await startDaemon()
    const idle = async () => {
      const { text } = await sendWhole(`${daemon.url}/metrics?format=openmetrics`)
      return parseOpenMetrics(text).get('envd_idle_seconds')?.samples[0]?.value
    }
    const ready = async () => sendWhole(`${daemon.url}/ready?verbose`)
    expect(await idle()).toBeGreaterThan(0)
    const { status, text } = await ready()
    expect(status).toBe(200)
    expect(JSON.parse(text)).toMatchObject({ state: 'ready', busy: false, idle_seconds: expect.any(Number) })
    const { stream } = await start(daemon, 'sleep', ['1000'])
    expect(await idle()).toBe(0)
    expect(JSON.parse((await ready()).text)).toMatchObject({ busy: true, idle_seconds: 0 })
    expect((await sendWhole(`${daemon.url}/ready`)).status).toBe(204)
    stream.close()
  })
})
