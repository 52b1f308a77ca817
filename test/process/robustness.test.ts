import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { fastest, timeOf } from '../_util/fastest.ts'
import { call, type ProcessMessage, type Stream, shell, start, transcript } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { connect, kill, list, sendInput } from './calls.ts'
import { inParallel, outputUntil, startedPid } from './following.ts'
import { alive, descriptors, residentMegabytes, threads } from './proc.ts'

const daemon = sharedDaemon()
const pty = { cols: 80, rows: 24 }

test('D71 calls are answered while others are blocked', async () => {
  const blockers: { pid: number; streams: Stream<ProcessMessage>[]; inputs: Promise<unknown>[] }[] = []
  for (let i = 0; i < 20; i++) {
    const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'yes'] })
    const pid = await startedPid(stream)
    const inputs = [sendInput(daemon.url, { pid }, { stdin: Buffer.alloc(200_000) })]
    blockers.push({ pid, streams: [stream, await connect(daemon.url, { pid })], inputs })
  }
  expect(await list(daemon.url)).toHaveLength(20)
  const { stdout } = await shell(daemon.url, 'echo through')
  expect(stdout.toString()).toBe('through\n')
  for (const { pid, streams, inputs } of blockers) {
    await kill(daemon.url, { pid })
    for (const stream of streams) stream.close()
    await Promise.all(inputs)
  }
  await expect.poll(async () => (await list(daemon.url)).length === 0).toBe(true)
})

test.each([
  '0',
  '-1',
  '-9223372036854775808',
  '',
  'often',
  'NaN',
  '1e9',
  '0x10',
  '1.5',
  '9'.repeat(200),
  '2147484',
  '9223372036',
])('D20 D76 a keepalive interval of "%s" does no harm', async (interval) => {
  const headers = { 'keepalive-ping-interval': interval }
  const stream = await start(daemon.url, '/bin/sh', { args: ['-c', 'read line; echo "got $line"'], headers })
  const pid = await startedPid(stream)
  const follower = await connect(daemon.url, { pid }, { headers })
  await startedPid(follower)
  await sendInput(daemon.url, { pid }, { stdin: 'x\n' })
  for (const each of [stream, follower]) {
    const { messages, end } = await each.rest()
    expect(messages.map(({ event }) => Object.keys(event).join())).toEqual(['data', 'end'])
    expect(end).toEqual({})
  }
  expect((await call(daemon.url, 'process.Process/List', {}, { headers })).status).toBe(200)
})

describe('many at a time', () => {
  test('D72 500 processes, in bounded memory, leave nothing behind', async () => {
    await using own = await startDaemon()
    await shell(own.url, 'true')
    const before = { descriptors: await descriptors(own.pid), threads: await threads(own.pid) }
    const streams: Stream<ProcessMessage>[] = []
    const pids: number[] = []
    await inParallel(500, 32, async () => {
      const stream = await start(own.url, 'sleep', { args: ['300'] })
      pids.push(await startedPid(stream))
      streams.push(stream)
    })
    expect(await list(own.url)).toHaveLength(500)
    expect(await residentMegabytes(own.pid)).toBeLessThan(200)
    await inParallel(500, 32, async (index) => kill(own.url, { pid: pids[index] ?? 0 }))
    for (const stream of streams) {
      expect((await stream.rest()).messages.at(-1)?.event.end).toMatchObject({ status: 'signal: killed' })
    }
    expect(await list(own.url)).toEqual([])
    await expect.poll(async () => (await descriptors(own.pid)) <= before.descriptors).toBe(true)
    // The thread pool has grown to its size meanwhile.
    await expect.poll(async () => (await threads(own.pid)) <= before.threads + 16).toBe(true)
  })

  test('D72 100 streams of output at the same time are exact, in bounded memory', async () => {
    await using own = await startDaemon()
    const expected = Array.from({ length: 50_000 }, (_, i) => `${i + 1}\n`).join('')
    const peak = { megabytes: 0 }
    await inParallel(100, 100, async (index) => {
      const stream = await start(own.url, 'seq', { args: ['50000'], http2: index % 2 === 1 })
      const { stdout, end } = await transcript(stream)
      expect(stdout.toString() === expected).toBe(true)
      expect(end).toMatchObject({ status: 'exit status 0' })
      peak.megabytes = Math.max(peak.megabytes, await residentMegabytes(own.pid))
    })
    expect(peak.megabytes).toBeLessThan(200)
  })

  test('D72 100 readers that do not read, and their processes, take bounded memory', async () => {
    await using own = await startDaemon()
    const streams: Stream<ProcessMessage>[] = []
    await inParallel(100, 20, async () => {
      streams.push(await start(own.url, 'yes'))
    })
    await expect.poll(() => list(own.url)).toHaveLength(100)
    for (let i = 0; i < 10; i++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      expect(await residentMegabytes(own.pid)).toBeLessThan(300)
    }
    for (const stream of streams) stream.close()
    await Promise.all((await list(own.url)).map(({ pid }) => kill(own.url, { pid })))
    await expect.poll(async () => (await list(own.url)).length === 0).toBe(true)
  })

  test('D21 500 clients that come and go leave no descriptor behind', async () => {
    await using own = await startDaemon()
    const stream = await start(own.url, '/bin/sh', { args: ['-c', 'while sleep 0.01; do echo tick; done'], pty })
    const pid = await startedPid(stream)
    const before = await descriptors(own.pid)
    await inParallel(500, 16, async (index) => {
      const follower = await connect(own.url, { pid }, { http2: index % 2 === 1 })
      await startedPid(follower)
      if (index % 3 === 0) await follower.next()
      follower.close()
    })
    await expect.poll(async () => (await descriptors(own.pid)) <= before).toBe(true)
    await outputUntil(stream, 'tick')
    await kill(own.url, { pid })
    await stream.rest()
  })
})

test('D72 N3 without descriptors a start is refused, and all works again when some are free', async () => {
  await using own = await startDaemon()
  await shell(own.url, 'true')
  const limit = (await descriptors(own.pid)) + 40
  await promisify(execFile)('prlimit', ['--pid', String(own.pid), `--nofile=${limit}`])
  const streams: Stream<ProcessMessage>[] = []
  const pids: number[] = []
  const refused = async (index: number) => {
    const stream = await start(own.url, 'sleep', { args: ['300'], ...(index % 2 === 0 ? {} : { pty }) })
    const { value, done } = await stream.messages.next()
    if (done) return value.error
    pids.push(value.event.start?.pid ?? 0)
    streams.push(stream)
    return undefined
  }
  let error: Awaited<ReturnType<typeof refused>>
  for (let index = 0; error === undefined; index++) error = await refused(index)
  expect(error).toMatchObject({
    code: 'resource_exhausted',
    message: expect.stringMatching(/^error starting .*too many open files$/),
  })
  expect((await list(own.url)).map(({ pid }) => pid)).toEqual(pids)
  for (const pid of pids) await kill(own.url, { pid })
  for (const stream of streams) await stream.rest()
  expect((await shell(own.url, 'echo again')).stdout.toString()).toBe('again\n')
})

test('D70 every process has a line at its start and one at its end, with sizes and without content', async () => {
  await using own = await startDaemon({ args: ['-verbose'] })
  const envs = { CANARY_NAME: 'canary-value' }
  const stream = await start(own.url, '/bin/sh', {
    args: ['-c', 'cat; echo canary-error >&2; exit 3'],
    envs,
    tag: 'canary-tag',
  })
  const pid = await startedPid(stream)
  await sendInput(own.url, { pid }, { stdin: 'canary-input' })
  await call(own.url, 'process.Process/CloseStdin', { process: { pid } })
  await stream.rest()
  const line = (message: string) =>
    own
      .stdout()
      .split('\n')
      .find((text) => text.includes(message))
  await expect.poll(() => line('process_end') !== undefined).toBe(true)
  expect(line('process_start')).toContain(String(pid))
  const end: unknown = JSON.parse(line('process_end') ?? '{}')
  expect(end).toMatchObject({ pid, process_result: 'exit status 3', stdout_bytes: 12, stderr_bytes: 13, pty_bytes: 0 })
  expect(own.stdout()).not.toMatch(/canary-(value|error|input)/)
})

test.each([
  ['outlive the daemon', '-kill-on-exit=false', true],
  ['end with the daemon', '-kill-on-exit', false],
])('D73 commands %s with %s', async (_title, flag, lives) => {
  const round = async () => {
    const own = await startDaemon({ args: [flag] })
    const stream = await start(own.url, 'sleep', { args: ['300'] })
    const pid = await startedPid(stream)
    const ended = stream.rest()
    const milliseconds = await timeOf(async () => expect(await own.stop()).toBe(0))
    const { messages, end } = await ended
    if (lives) expect(end.error?.code).toBe('unavailable')
    else expect(end.error?.code ?? messages.at(-1)?.event.end?.status).toMatch(/^(unavailable|signal: terminated)$/)
    expect(await alive(pid)).toBe(lives)
    if (lives) process.kill(pid)
    return milliseconds
  }
  // Far below the 4.5 s after which it would go anyway.
  expect(await fastest(3000, round)).toBeLessThan(3000)
})
