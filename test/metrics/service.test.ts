import { createClient } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node'
import { describe, type ExpectStatic, expect, test } from 'vitest'
import { Metrics, Source } from '../../src/gen/metrics/metrics_pb.js'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { call, open, start } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const daemon = sharedDaemon()

/** A sample as JSON; numbers of 64 bits are text. */
interface JsonSample {
  readonly timestamp: string
  readonly memTotal: string
  readonly uptime: number
  readonly commandCount?: number
  readonly watcherCount?: number
}
interface WatchMessage {
  readonly sample?: JsonSample
  readonly keepalive?: Record<string, never>
}

async function get(url: string): Promise<JsonSample> {
  const { status, body } = await call(url, 'metrics.Metrics/Get', {})
  expect(status).toBe(200)
  // What this method answers.
  return (body as { sample: JsonSample }).sample
}

async function list(url: string, request: Record<string, unknown>): Promise<JsonSample[]> {
  const { status, body } = await call(url, 'metrics.Metrics/List', request)
  expect(status).toBe(200)
  // What this method answers; an empty list is left out.
  return (body as { samples?: JsonSample[] }).samples ?? []
}

/** Waits until that many samples were taken. */
async function untilSamples(expect: ExpectStatic, url: string, count: number): Promise<JsonSample[]> {
  await expect.poll(async () => (await list(url, {})).length, { timeout: 20_000 }).toBeGreaterThanOrEqual(count)
  return list(url, {})
}

test.each(['connect', 'grpc'])('a typed client over %s gets samples with every figure', async (protocol) => {
  const { url } = daemon
  const transport =
    protocol === 'grpc'
      ? createGrpcTransport({ baseUrl: url })
      : createConnectTransport({ baseUrl: url, httpVersion: '2' })
  const client = createClient(Metrics, transport)
  const { sample } = await client.get({})
  expect(sample?.memTotal).toBeGreaterThan(sample?.memUsed ?? 0n)
  expect(sample?.diskTotal).toBeGreaterThan(0n)
  expect(sample?.daemonMemory).toBeGreaterThan(20_000_000n)
  expect(sample?.processCount).toBeGreaterThan(1)
  expect([Source.HOST, Source.CGROUP]).toContain(sample?.memSource)
  expect([Source.HOST, Source.CGROUP]).toContain(sample?.cpuSource)
  const { samples } = await client.list({ limit: 1 })
  expect(samples.length).toBe(1)
  const over = new AbortController()
  for await (const { event } of client.watch({}, { signal: over.signal })) {
    expect(event.case).toBe('sample')
    break
  }
  over.abort()
})

// Most of these wait for the next sample, which they may do together.
describe.concurrent('the Metrics service', () => {
  test('Get reports the latest sample, the same as GET /metrics', async ({ expect }) => {
    const { url } = daemon
    await expect
      .poll(async () => {
        const sample = await get(url)
        const metrics = JSON.parse((await sendWhole(`${url}/metrics`)).text)
        return (
          [sample.memTotal, Math.floor(Date.parse(sample.timestamp) / 1000)].join() ===
          [metrics.mem_total, metrics.ts].join()
        )
      })
      .toBe(true)
  })

  test('List gives the samples of a range, oldest first; a limit keeps the newest', async ({ expect }) => {
    const { url } = daemon
    const all = await untilSamples(expect, url, 3)
    const times = all.map(({ timestamp }) => timestamp)
    expect(times).toEqual(times.toSorted())
    const [first = '', second = ''] = times
    expect((await list(url, { to: second })).map(({ timestamp }) => timestamp)).toEqual([first])
    expect((await list(url, { from: second })).map(({ timestamp }) => timestamp)[0]).toBe(second)
    const newest = await list(url, { limit: 2 })
    expect(newest.length).toBe(2)
    expect(Date.parse(newest[1]?.timestamp ?? '')).toBeGreaterThanOrEqual(Date.parse(times.at(-1) ?? ''))
    expect(await list(url, { from: '2200-01-01T00:00:00Z' })).toEqual([])
    expect(await call(url, 'metrics.Metrics/List', { from: second, to: first })).toMatchObject({
      status: 400,
      body: { code: 'invalid_argument', message: 'from must not be later than to' },
    })
  })

  test('Watch begins with the latest sample, then sends each new one', async ({ expect }) => {
    const { url } = daemon
    const latest = await get(url)
    const stream = await open<WatchMessage>(url, 'metrics.Metrics/Watch', {})
    const samples = [(await stream.next()).sample, (await stream.next()).sample, (await stream.next()).sample]
    stream.close()
    const uptimes = samples.map((sample) => sample?.uptime ?? 0)
    expect(uptimes[0]).toBeGreaterThanOrEqual(latest.uptime)
    expect(uptimes).toEqual([...new Set(uptimes)].toSorted((a, b) => a - b))
  })

  test('Watch from a time replays what is kept and goes on without a gap or a repetition', async ({ expect }) => {
    const { url } = daemon
    const all = await untilSamples(expect, url, 3)
    const from = all[1]?.timestamp ?? ''
    const stream = await open<WatchMessage>(url, 'metrics.Metrics/Watch', { from })
    const seen: (string | undefined)[] = []
    for (let count = 0; count < all.length + 1; count++) seen.push((await stream.next()).sample?.timestamp)
    stream.close()
    expect(seen).toEqual((await list(url, { from })).map(({ timestamp }) => timestamp).slice(0, seen.length))
  })

  test('a quiet Watch sends keepalives', async () => {
    const headers = { 'keepalive-ping-interval': '1' }
    const stream = await open<WatchMessage>(daemon.url, 'metrics.Metrics/Watch', {}, { headers })
    for (;;) if ((await stream.next()).keepalive !== undefined) break
    stream.close()
  })

  test('what the daemon is doing is part of each sample', async ({ expect }) => {
    const { url } = daemon
    const stream = await start(url, 'sleep', { args: ['1000'], stdin: false })
    const { event } = await stream.next()
    await expect.poll(async () => (await get(url)).commandCount).toBe(1)
    await call(url, 'process.Process/SendSignal', { process: { pid: event.start?.pid }, signal: 'SIGNAL_SIGKILL' })
    await stream.rest()
  })

  test('watchers count while they are open', async ({ expect }) => {
    const { url } = daemon
    await using dir = await makeTmpDir()
    const { body } = await call(url, 'filesystem.Filesystem/CreateWatcher', { path: dir.path })
    // What this method answers.
    const { watcherId } = body as { watcherId: string }
    const stream = await open(url, 'filesystem.Filesystem/WatchDir', { path: dir.path })
    await stream.next()
    const watchers = async () => (await get(url)).watcherCount ?? 0
    await expect.poll(watchers).toBe(2)
    stream.close()
    await call(url, 'filesystem.Filesystem/RemoveWatcher', { watcherId })
    await expect.poll(watchers).toBe(0)
  })

  test('a POST /init is followed by a sample of its own, by the clock that it has set', async ({ expect }) => {
    const { url } = daemon
    const stream = await open<WatchMessage>(url, 'metrics.Metrics/Watch', {})
    const uptimes = [(await stream.next()).sample?.uptime ?? 0]
    for (let call = 0; call < 8; call++) {
      expect((await sendWhole(`${url}/init`, { method: 'POST', body: '{}' })).status).toBe(204)
      uptimes.push((await stream.next()).sample?.uptime ?? 0)
    }
    stream.close()
    // Alone, the schedule would have taken 16 seconds.
    expect((uptimes.at(-1) ?? 0) - (uptimes[0] ?? 0)).toBeLessThan(10)
  })

  test('at the end of the daemon a Watch gets the last sample, then unavailable', async ({ expect }) => {
    await using own = await startDaemon()
    const stream = await open<WatchMessage>(own.url, 'metrics.Metrics/Watch', {})
    const first = (await stream.next()).sample?.uptime ?? 0
    const ended = own.stop()
    const { messages, end } = await stream.rest()
    expect(await ended).toBe(0)
    expect(messages.at(-1)?.sample?.uptime).toBeGreaterThan(first)
    expect(end.error).toEqual({ code: 'unavailable', message: 'the daemon is stopping' })
  })

  test('samples go on after the daemon stood still', async ({ expect }) => {
    await using own = await startDaemon()
    await untilSamples(expect, own.url, 2)
    process.kill(own.pid, 'SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, 2500))
    process.kill(own.pid, 'SIGCONT')
    const { length } = await list(own.url, {})
    await untilSamples(expect, own.url, length + 1)
  })
})
