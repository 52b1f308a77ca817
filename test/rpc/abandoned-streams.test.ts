import { readdir, readFile } from 'node:fs/promises'
import { Agent, type ClientRequest, request } from 'node:http'
import { type ClientHttp2Session, connect } from 'node:http2'
import { createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node'
import { expect, test } from 'vitest'
import { call, enveloped, pidOf, start } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { clientsOf } from './typed-clients.ts'

const daemon = sharedDaemon()

const HEADERS = { 'content-type': 'application/connect+json' }

const framed = (message: unknown) => enveloped(Buffer.from(JSON.stringify(message)))

async function descriptors(): Promise<number> {
  return (await readdir(`/proc/${daemon.pid}/fd`)).length
}

/** Opens a stream, waits for its first bytes, and goes away in one of three ways. */
function abandonHttp1(path: string, body: Buffer, how: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing: ClientRequest = request(daemon.url + path, { method: 'POST', headers: HEADERS, agent: false })
    outgoing.on('close', resolve)
    outgoing.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ECONNREFUSED' ? reject(error) : resolve()))
    outgoing.on('response', (response) => {
      response.on('error', () => {})
      response.once('data', () => {
        if (how === 0) outgoing.destroy()
        else if (how === 1) outgoing.socket?.resetAndDestroy()
        else response.destroy()
      })
    })
    outgoing.end(body)
    if (how === 3) setImmediate(() => outgoing.destroy())
  })
}

function abandonHttp2(session: ClientHttp2Session, path: string, body: Buffer, how: number): Promise<void> {
  return new Promise((resolve) => {
    const stream = session.request({ ':method': 'POST', ':path': path, ...HEADERS })
    stream.on('error', () => {})
    stream.on('close', resolve)
    stream.once('data', () => stream.close(how % 2 === 0 ? 8 : 0))
    stream.end(body)
    if (how === 3) setImmediate(() => stream.close(8))
  })
}

/** Runs `one` `count` times, `width` at a time. */
async function repeat(count: number, width: number, one: (index: number) => Promise<void>): Promise<void> {
  let next = 0
  const lane = async () => {
    while (next < count) await one(next++)
  }
  await Promise.all(Array.from({ length: width }, lane))
}

test.each([
  ['HTTP/1.1', false],
  ['HTTP/2', true],
])(
  'D21 D28 thousands of abandoned streams over %s leave no reader and no descriptor behind',
  async (_, http2) => {
    await using dir = await makeTmpDir()
    const { url } = daemon
    const script = `while read line; do head -c 5000000 /dev/zero; echo "$line" >> ${dir.path}/written; done`
    const owner = await start(url, 'sh', { args: ['-c', script] })
    const pid = await pidOf(owner)
    owner.close()
    const session = connect(url)
    const before = await descriptors()
    const body = framed({ process: { pid } })
    await repeat(3000, 16, (i) =>
      http2
        ? abandonHttp2(session, '/process.Process/Connect', body, i % 4)
        : abandonHttp1('/process.Process/Connect', body, i % 4),
    )
    await expect.poll(descriptors).toBeLessThanOrEqual(before + 1)
    // A reader that was left behind would now stop the process at the first megabyte of output.
    await call(url, 'process.Process/SendInput', { process: { pid }, input: { stdin: 'eQo=' } })
    await expect.poll(() => readFile(`${dir.path}/written`, 'utf8').catch(() => '')).toBe('y\n')
    session.destroy()
    await call(url, 'process.Process/SendSignal', { process: { pid }, signal: 9 })
  },
  60_000,
)

test.each([
  ['HTTP/1.1', false],
  ['HTTP/2', true],
])(
  'D21 D29 streams that are abandoned while they wait for their client let the process go on, over %s',
  async (_, http2) => {
    const { url } = daemon
    const streams = await Promise.all(Array.from({ length: 5 }, () => start(url, 'yes', { http2 })))
    const pids = await Promise.all(streams.map(pidOf))
    const stalled = async (pid: number) => (await written(pid)) === (await afterMoment(() => written(pid)))
    for (const pid of pids) await expect.poll(() => stalled(pid)).toBe(true)
    for (const stream of streams) stream.close()
    for (const pid of pids) {
      const before = await written(pid)
      await expect.poll(() => written(pid)).toBeGreaterThan(before + 5_000_000)
      await call(url, 'process.Process/SendSignal', { process: { pid }, signal: 9 })
    }
  },
)

test.each([
  ['gRPC', () => createGrpcTransport({ baseUrl: daemon.url })],
  ['gRPC-Web', () => createGrpcWebTransport({ baseUrl: daemon.url, httpVersion: '1.1' })],
])(
  'D21 D28 abandoned streams of %s leave no reader behind, whether they wait or are waited for',
  async (_, transport) => {
    await using dir = await makeTmpDir()
    const { url } = daemon
    const script = `while read line; do head -c 5000000 /dev/zero; echo "$line" >> ${dir.path}/written; done`
    const owner = await start(url, 'sh', { args: ['-c', script] })
    const pid = await pidOf(owner)
    owner.close()
    const { process } = clientsOf(transport())
    const write = () => call(url, 'process.Process/SendInput', { process: { pid }, input: { stdin: 'eQo=' } })
    const abandon = async (index: number) => {
      const controller = new AbortController()
      const responses = process.connect(
        { process: { selector: { case: 'pid', value: pid } } },
        { signal: controller.signal },
      )
      const iterator = responses[Symbol.asyncIterator]()
      await iterator.next()
      if (index % 50 === 0) await write()
      controller.abort()
      await iterator.next().catch(() => {})
    }
    await repeat(200, 10, abandon)
    const lines = async () => (await readFile(`${dir.path}/written`, 'utf8').catch(() => '')).split('\n').length - 1
    await expect.poll(lines).toBe(4)
    await write()
    await expect.poll(lines).toBe(5)
    await call(url, 'process.Process/SendSignal', { process: { pid }, signal: 9 })
  },
)

/** Bytes that a process has written so far. */
async function written(pid: number): Promise<number> {
  return Number(/^wchar: (\d+)/m.exec(await readFile(`/proc/${pid}/io`, 'utf8'))?.[1])
}

async function afterMoment<T>(look: () => Promise<T>): Promise<T> {
  await new Promise((resolve) => setTimeout(resolve, 50))
  return look()
}

test.each([
  ['HTTP/1.1', false],
  ['HTTP/2', true],
])(
  'D15 5,000 short streams over kept connections end as they should, over %s',
  async (_, http2) => {
    const { url } = daemon
    const agent = new Agent({ keepAlive: true, maxSockets: 8 })
    const session = connect(url)
    const body = framed({ process: { cmd: 'printf', args: ['x'] }, stdin: false })
    const bad: string[] = []
    const sockets = new Set<unknown>()
    await repeat(5000, 8, async () => {
      const text = http2 ? await exchangeHttp2(session, body) : await exchangeHttp1(agent, body, sockets)
      if (reported(text) !== WHOLE) bad.push(reported(text))
    })
    expect(bad).toEqual([])
    if (!http2) expect(sockets.size).toBe(8)
    agent.destroy()
    session.destroy()
  },
  120_000,
)

/** The messages of a stream, the numbers of pids left out; a text that cannot be cut into envelopes as it is. */
function reported(text: string): string {
  const messages: string[] = []
  let rest = Buffer.from(text, 'latin1')
  for (; rest.length >= 5; rest = rest.subarray(5 + rest.readUInt32BE(1)))
    messages.push(`${rest[0]} ${rest.subarray(5, 5 + rest.readUInt32BE(1))}`)
  return messages.join('\n').replace(/"pid":\d+/, '"pid":N') + rest
}

const WHOLE = [
  '0 {"event":{"start":{"pid":N,"offsets":{}}}}',
  '0 {"event":{"data":{"stdout":"eA==","offset":"0"}}}',
  '0 {"event":{"end":{"exited":true,"status":"exit status 0"}}}',
  '2 {}',
].join('\n')

function exchangeHttp1(agent: Agent, body: Buffer, sockets: Set<unknown>): Promise<string> {
  return new Promise((resolve, reject) => {
    const outgoing = request(`${daemon.url}/process.Process/Start`, { method: 'POST', headers: HEADERS, agent })
    outgoing.on('socket', (socket) => sockets.add(socket))
    outgoing.on('error', reject)
    outgoing.on('response', (response) => {
      response.toArray().then((parts) => resolve(Buffer.concat(parts).toString('latin1')), reject)
    })
    outgoing.end(body)
  })
}

async function exchangeHttp2(session: ClientHttp2Session, body: Buffer): Promise<string> {
  const stream = session.request({ ':method': 'POST', ':path': '/process.Process/Start', ...HEADERS })
  stream.end(body)
  return Buffer.concat(await stream.toArray()).toString('latin1')
}
