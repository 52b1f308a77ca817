import { readFileSync } from 'node:fs'
import { type Client, Code, type ConnectError, createClient } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-node'
import { beforeAll, describe, expect, test } from 'vitest'
import { Cause, type Job, Jobs, Scope, Signal, State } from '../../src/gen/jobs/v1/jobs_pb.js'
import { collected } from '../_util/collected.ts'
import { asUser, pidOf, type RunOptions, shell, start } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'

const daemon = sharedDaemon()
let jobs: Client<typeof Jobs>

beforeAll(() => {
  jobs = createClient(Jobs, createConnectTransport({ baseUrl: daemon.url, httpVersion: '2' }))
})

const byPid = (pid: number) => ({ selector: { case: 'pid' as const, value: pid } })
const byTag = (value: string) => ({ selector: { case: 'tag' as const, value } })
const byKey = (value: string) => ({ selector: { case: 'key' as const, value } })
const bytes = (text: string) => new TextEncoder().encode(text)
const text = (part: Uint8Array) => Buffer.from(part).toString()

async function begin(command: string, options: RunOptions = {}) {
  const stream = await start(daemon.url, 'sh', { args: ['-c', command], ...options })
  return { stream, pid: await pidOf(stream) }
}

/** Bit of SIGHUP in the masks of /proc/PID/status (proc(5)). */
const HANGUP = 1n

function ignoresHangup(pid: number): boolean {
  const mask = /^SigIgn:\t(\w+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return (BigInt(`0x${mask}`) & HANGUP) !== 0n
}

const get = async (pid: number) => (await jobs.get({ job: byPid(pid) })).job as Job

describe('a job', () => {
  test('says what was started, by whom, and how it ended, by pid, tag and key', async () => {
    const headers = { ...asUser('nobody'), 'idempotency-key': 'all-fields' }
    const before = Date.now()
    const { pid } = await shell(daemon.url, 'cat; echo error >&2; exit 3', { headers, tag: 'all', cwd: '/tmp' })
    for (const job of [byPid(pid), byTag('all'), byKey('all-fields')]) {
      const found = (await jobs.get({ job })).job
      expect(found).toMatchObject({
        ...{ pid, tag: 'all', key: 'all-fields', cmd: '/bin/sh', args: ['-c', 'cat; echo error >&2; exit 3'] },
        ...{ argsLeftOut: 0, user: 'nobody', cwd: '/tmp', terminal: false, state: State.ENDED },
        ...{ exitCode: 3, status: 'exit status 3', cause: Cause.EXIT, limitsHit: [] },
        kept: { stdout: 0n, stderr: 0n, pty: 0n },
        produced: { stdout: 0n, stderr: 6n, pty: 0n },
        ...{ inputBytes: 0n, outputBytes: 6n },
      })
      const [started, ended] = [Number(found?.started?.seconds), Number(found?.ended?.seconds)]
      expect(started).toBeGreaterThanOrEqual(Math.floor(before / 1000))
      expect(ended).toBeGreaterThanOrEqual(started)
      expect(found?.cpuSeconds).toBeGreaterThan(0)
    }
  })

  test('runs in a terminal, takes input, and is killed by its deadline', async () => {
    const pty = { cols: 80, rows: 24 }
    const { pid, stream } = await begin('cat', { pty, headers: { 'connect-timeout-ms': '700' } })
    await jobs.write({ job: byPid(pid), data: bytes('x') })
    const live = await get(pid)
    expect(live).toMatchObject({ state: State.RUNNING, terminal: true, inputBytes: 1n })
    expect([live.exitCode, live.ended, live.signal]).toEqual([undefined, undefined, undefined])
    await stream.rest()
    expect(await get(pid)).toMatchObject({ state: State.ENDED, cause: Cause.DEADLINE, exitCode: -1, signal: 'killed' })
  })

  test('keeps little of long arguments', async () => {
    const args = ['-c', 'true', 'x'.repeat(100_000), 'y']
    const { pid, stream } = await begin('', { args })
    await stream.rest()
    expect(await get(pid)).toMatchObject({ args: ['-c', 'true'], argsLeftOut: 2 })
  })

  test.each([
    ['no job', {}, Code.InvalidArgument],
    ['an unknown pid', { job: byPid(2 ** 31) }, Code.NotFound],
    ['an unknown tag', { job: byTag('nobody has it') }, Code.NotFound],
    ['an unknown key', { job: byKey('nobody-has-it') }, Code.NotFound],
  ])('is refused for %s', async (_, request, code) => {
    await expect(jobs.get(request)).rejects.toMatchObject({ code })
    await expect(jobs.wait(request)).rejects.toMatchObject({ code })
    await expect(jobs.kill(request)).rejects.toMatchObject({ code })
    await expect(jobs.write(request)).rejects.toMatchObject({ code })
    await expect(collected(jobs.read(request))).rejects.toMatchObject({ code })
  })
})

test('List has running and ended jobs, newest first, by state, tag and user', async () => {
  const first = await begin('cat', { tag: 'listed' })
  const second = await begin('exit 0', { tag: 'unlisted', headers: asUser('nobody') })
  await second.stream.rest()
  const pidsOf = async (filter: object) => (await jobs.list({ filter })).jobs.map(({ pid }) => pid)
  const all = await pidsOf({})
  expect(all.indexOf(second.pid)).toBeLessThan(all.indexOf(first.pid))
  expect(await pidsOf({ tag: 'listed' })).toEqual([first.pid])
  expect(await pidsOf({ state: State.RUNNING })).toEqual([first.pid])
  expect(await pidsOf({ user: 'nobody', tag: 'unlisted', state: State.ENDED })).toEqual([second.pid])
  expect(await pidsOf({ user: 'nobody', tag: 'listed' })).toEqual([])
  await expect(jobs.list({ filter: { state: 7 as State } })).rejects.toMatchObject({ code: Code.InvalidArgument })
  await jobs.kill({ job: byPid(first.pid), signal: Signal.SIGKILL })
})

describe('Wait', () => {
  test('answers at the end, with the tails', async () => {
    const { pid } = await begin('echo 12345; echo error >&2; cat; exit 4')
    const waiting = jobs.wait({ job: byPid(pid), tailBytes: 4 })
    await jobs.write({ job: byPid(pid), eof: true })
    const { job, stdout, stderr, pty } = await waiting
    expect(job).toMatchObject({ pid, state: State.ENDED, exitCode: 4, cause: Cause.EXIT })
    expect([stdout, stderr, pty].map(text)).toEqual(['345\n', 'ror\n', ''])
    expect((await jobs.wait({ job: byPid(pid) })).job?.exitCode).toBe(4)
  })

  test('answers after its time while the job runs', async () => {
    const { pid } = await begin('sleep 100')
    for (const timeoutMs of [0, 50])
      expect((await jobs.wait({ job: byPid(pid), timeoutMs })).job?.state).toBe(State.RUNNING)
    const tooMuch = jobs.wait({ job: byPid(pid), timeoutMs: 0, tailBytes: 300_000 })
    await expect(tooMuch).rejects.toMatchObject({ code: Code.InvalidArgument })
    await jobs.kill({ job: byPid(pid), signal: Signal.SIGKILL })
  })
})

describe('Read', () => {
  const read = async (request: Parameters<typeof jobs.read>[0]) => {
    const seen = { stdout: '', stderr: '', pty: '', offsets: {}, skipped: {}, state: State.UNSPECIFIED }
    const order: string[] = []
    for await (const { event } of jobs.read(request)) {
      if (order.at(-1) !== event.case) order.push(event.case ?? 'nothing')
      if (event.case === 'start') Object.assign(seen, event.value)
      if (event.case === 'end') seen.state = event.value.state
      if (event.case === 'data' && event.value.output.case !== undefined)
        seen[event.value.output.case] += text(event.value.output.value)
    }
    expect(order.filter((kind) => kind !== 'keepalive' && kind !== 'data')).toEqual(['start', 'end'])
    return seen
  }

  test('sends what is kept, from offsets, and only head and tail with the number skipped between', async () => {
    const { pid } = await shell(daemon.url, 'seq 100 199; printf 12345 >&2')
    const job = byPid(pid)
    const whole = Array.from({ length: 100 }, (_, index) => `${100 + index}\n`).join('')
    expect(await read({ job })).toMatchObject({ stdout: whole, stderr: '12345', state: State.ENDED })
    const from = { stdout: 392n, stderr: 5n }
    expect(await read({ job, from })).toMatchObject({ stdout: '198\n199\n', stderr: '', offsets: { stdout: 392n } })
    const cut = { stdout: '100\n199\n', stderr: '12345', skipped: { stdout: 392n, stderr: 0n } }
    expect(await read({ job, head: 4n, tail: 4n })).toMatchObject(cut)
    expect(await read({ job, tail: 3n })).toMatchObject({ stdout: '99\n', stderr: '345', skipped: { stdout: 397n } })
    expect(await read({ job, head: 3n })).toMatchObject({ stdout: '100', stderr: '123', skipped: { stdout: 397n } })
    expect(await read({ job, head: 300n, tail: 300n })).toMatchObject({ stdout: whole, skipped: { stdout: 0n } })
    const beyond = read({ job, from: { stdout: 401n } })
    await expect(beyond).rejects.toMatchObject({ code: Code.InvalidArgument })
  })

  test('ends with what is there, or follows to the end', async () => {
    const { pid, stream } = await begin('echo one; cat')
    await stream.next()
    const job = byPid(pid)
    expect(await read({ job })).toMatchObject({ stdout: 'one\n', state: State.RUNNING })
    const following = read({ job, follow: true, tail: 2n })
    await jobs.write({ job, data: bytes('two\n'), eof: true })
    expect((await following).stdout).toMatch(/^(e\n|)(two\n|o\n)$/)
    expect(await following).toMatchObject({ state: State.ENDED })
  })
})

describe('Write', () => {
  test('writes nothing twice, and refuses what leaves a gap', async () => {
    const { pid, stream } = await begin('cat')
    const job = byPid(pid)
    const write = async (offset: bigint, data: string, eof = false) =>
      (await jobs.write({ job, offset, data: bytes(data), eof })).written
    expect(await write(0n, 'abc')).toBe(3n)
    expect(await write(0n, 'abc')).toBe(3n)
    expect(await write(1n, 'bcde')).toBe(5n)
    await expect(write(6n, 'x')).rejects.toMatchObject({ code: Code.InvalidArgument })
    expect(await write(5n, 'f', true)).toBe(6n)
    const { messages } = await stream.rest()
    const output = messages.map(({ event }) => Buffer.from(event.data?.stdout ?? '', 'base64').toString()).join('')
    expect(output).toBe('abcdef')
    await expect(write(0n, 'abc')).rejects.toMatchObject({ code: Code.FailedPrecondition })
  })

  test('the same input many times at the same instant arrives once', async () => {
    const { pid, stream } = await begin('cat | cksum')
    const data = new Uint8Array(300_000).fill(120)
    await Promise.all(Array.from({ length: 5 }, () => jobs.write({ job: byPid(pid), offset: 0n, data })))
    await jobs.write({ job: byPid(pid), eof: true })
    const { messages } = await stream.rest()
    const output = messages.map(({ event }) => Buffer.from(event.data?.stdout ?? '', 'base64').toString()).join('')
    expect(output.split(' ')[1]?.trim()).toBe('300000')
  })
})

describe('Kill', () => {
  test('sends SIGTERM, then SIGKILL after the grace, and answers when it is over', async () => {
    const { pid } = await begin('trap "" TERM; echo ready; while :; do sleep 0.1; done')
    await expect.poll(async () => (await get(pid)).outputBytes).toBe(6n)
    const { job, left } = await jobs.kill({ job: byPid(pid), graceMs: 200 })
    expect(job).toMatchObject({ state: State.ENDED, signal: 'killed', cause: Cause.SIGNAL })
    expect(left).toEqual([])
    expect((await jobs.kill({ job: byPid(pid) })).job?.state).toBe(State.ENDED)
  })

  test('sends SIGKILL after the grace to those who outlive their leader', async () => {
    const { pid } = await begin('(trap "" TERM; echo ready; while :; do sleep 0.1; done) & wait')
    await expect.poll(async () => (await get(pid)).outputBytes).toBe(6n)
    const { job, left } = await jobs.kill({ job: byPid(pid), graceMs: 200 })
    expect(job).toMatchObject({ state: State.ENDED, signal: 'terminated', cause: Cause.SIGNAL })
    expect(left).toEqual([])
  })

  test('sends SIGKILL after the grace also if its caller has left, and the shortest of many graces counts', async () => {
    const { pid } = await begin('trap "echo caught" TERM; echo ready; while :; do sleep 0.1; done')
    await expect.poll(async () => (await get(pid)).outputBytes).toBe(6n)
    const leave = new AbortController()
    const kill = (graceMs: number) => jobs.kill({ job: byPid(pid), graceMs }, { signal: leave.signal })
    const kills: Promise<unknown>[] = []
    for (const graceMs of [60_000, 1000, 30_000]) {
      const { outputBytes } = await get(pid)
      kills.push(kill(graceMs).catch(({ code }: ConnectError) => code))
      await expect.poll(async () => (await get(pid)).outputBytes).toBeGreaterThan(outputBytes)
    }
    leave.abort()
    expect(await Promise.all(kills)).toEqual([Code.Canceled, Code.Canceled, Code.Canceled])
    const { job } = await jobs.wait({ job: byPid(pid), timeoutMs: 20_000 })
    expect(job).toMatchObject({ state: State.ENDED, signal: 'killed', cause: Cause.SIGNAL })
  })

  test('does not wait for those who ignore SIGHUP, and says who they are', async () => {
    const { pid } = await begin('(trap "" HUP; exec sleep 1000) & echo $!; wait')
    await expect.poll(async () => (await get(pid)).outputBytes).toBeGreaterThan(1n)
    const child = Number(text((await jobs.wait({ job: byPid(pid), timeoutMs: 0 })).stdout))
    await expect.poll(() => ignoresHangup(child)).toBe(true)
    const { left } = await jobs.kill({ job: byPid(pid), signal: Signal.SIGKILL })
    expect(left).toEqual([child])
    process.kill(child, 'SIGKILL')
  })

  test('of the leader alone leaves the others, and says who', async () => {
    const { pid } = await begin('sleep 1000 & echo $!; wait')
    await expect.poll(async () => (await get(pid)).outputBytes).toBeGreaterThan(1n)
    const child = Number(text((await jobs.wait({ job: byPid(pid), timeoutMs: 0 })).stdout))
    const { left } = await jobs.kill({ job: byPid(pid), signal: Signal.SIGKILL, scope: Scope.LEADER })
    expect(left).toEqual([child])
    process.kill(child, 'SIGKILL')
  })

  test.each([{ signal: 1 }, { scope: 9 }, { graceMs: 2 ** 32 - 1 }])('refuses %j', async (request) => {
    const { pid } = await shell(daemon.url, 'true')
    await expect(jobs.kill({ job: byPid(pid), ...request })).rejects.toMatchObject({ code: Code.InvalidArgument })
  })
})

test('Watch sends each job that starts and ends, as far as it matches', async () => {
  const over = new AbortController()
  const changes = jobs.watch({ filter: { tag: 'watched' } }, { signal: over.signal })[Symbol.asyncIterator]()
  const next = async () => (await changes.next()).value?.event
  expect((await next())?.case).toBe('watching')
  await shell(daemon.url, 'true', { tag: 'other' })
  const { pid } = await shell(daemon.url, 'exit 9', { tag: 'watched' })
  expect(await next()).toMatchObject({ case: 'started', value: { pid, state: State.RUNNING } })
  expect(await next()).toMatchObject({ case: 'ended', value: { pid, state: State.ENDED, exitCode: 9 } })
  over.abort()
  await expect(next()).rejects.toMatchObject({ code: Code.Canceled })
})
