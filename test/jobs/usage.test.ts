import { type Client, createClient } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-node'
import { beforeAll, expect, test } from 'vitest'
import { type Job, Jobs, Signal, State } from '../../src/gen/jobs/v1/jobs_pb.js'
import type { RunningProcess } from '../../src/process/process.ts'
import { createSessionUsage } from '../../src/process/session-usage.ts'
import { pidOf, type RunOptions, start } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { ctl } from '../ctl/ctl.ts'

const daemon = sharedDaemon()
let jobs: Client<typeof Jobs>

beforeAll(() => {
  jobs = createClient(Jobs, createConnectTransport({ baseUrl: daemon.url, httpVersion: '2' }))
})

const byPid = (pid: number) => ({ selector: { case: 'pid' as const, value: pid } })
const get = async (pid: number) => (await jobs.get({ job: byPid(pid) })).job as Job
const MB = 1_000_000

async function begin(command: string, options: RunOptions = {}) {
  return pidOf(await start(daemon.url, 'sh', { args: ['-c', command], ...options }))
}

/** Holds 40 MB in a child until a line comes, then nothing much until the next. */
const HOLD = 'sh -c \'x=$(head -c 40000000 /dev/zero | tr "\\0" x); echo held; read a; x=; echo freed; read b\' <&0'

test('a job that runs says what its session takes of CPU and memory, now and at most, and of input and output', async () => {
  const pid = await begin(`${HOLD}; exit 3`)
  await expect.poll(async () => (await get(pid)).outputBytes).toBe(5n)
  await expect.poll(async () => Number((await get(pid)).memoryBytes)).toBeGreaterThan(40 * MB)
  const held = await get(pid)
  expect(held.peakMemoryBytes).toBeGreaterThanOrEqual(held.memoryBytes ?? 0n)
  expect(held.cpuSeconds).toBeGreaterThan(0)
  await jobs.write({ job: byPid(pid), data: Buffer.from('on\n') })
  await expect.poll(async () => Number((await get(pid)).memoryBytes)).toBeLessThan(20 * MB)
  const freed = await get(pid)
  expect(freed).toMatchObject({ state: State.RUNNING, inputBytes: 3n, outputBytes: 11n })
  expect(Number(freed.peakMemoryBytes)).toBeGreaterThan(40 * MB)
  const listed = (await jobs.list({ filter: { state: State.RUNNING } })).jobs.find((job) => job.pid === pid)
  expect(Number(listed?.memoryBytes)).toBeLessThan(20 * MB)
  expect(listed?.cpuSeconds).toBeGreaterThanOrEqual(held.cpuSeconds ?? 0)
  await jobs.write({ job: byPid(pid), data: Buffer.from('end\n') })
  const { job } = await jobs.wait({ job: byPid(pid) })
  // What was seen of it counts, also where its leader has waited for less.
  expect(job).toMatchObject({ state: State.ENDED, exitCode: 3 })
  expect(job?.memoryBytes).toBeUndefined()
  expect(Number(job?.peakMemoryBytes)).toBeGreaterThan(40 * MB)
  expect(job?.cpuSeconds).toBeGreaterThanOrEqual(listed?.cpuSeconds ?? 0)
})

test('CPU time grows while it runs, also of those who work in the background and in a terminal', async () => {
  const pid = await begin('(while :; do :; done) & wait', { pty: { cols: 80, rows: 24 } })
  const seconds = async () => (await get(pid)).cpuSeconds ?? 0
  await expect.poll(seconds, { timeout: 15_000 }).toBeGreaterThan(0.2)
  const first = await seconds()
  await expect.poll(seconds, { timeout: 15_000 }).toBeGreaterThan(first + 0.2)
  await jobs.kill({ job: byPid(pid), signal: Signal.SIGKILL })
})

test('ctl ps and top show it', async () => {
  const pid = await begin('head -c 3000 /dev/zero; read line; read more')
  await jobs.write({ job: byPid(pid), data: Buffer.from('12345\n') })
  await expect.poll(async () => (await get(pid)).memoryBytes).toBeGreaterThan(0n)
  await expect.poll(async () => (await get(pid)).outputBytes).toBe(3000n)
  const row = new RegExp(`^${pid} .* \\d\\.\\d s +[\\d.]+ [KM]iB +[\\d.]+ [KM]iB +6 B +2\\.9 KiB +running`, 'm')
  expect((await ctl(daemon.url, ['ps'])).stdout.toString()).toMatch(row)
  expect((await ctl(daemon.url, ['top', '-n', '1'])).stdout.toString()).toMatch(row)
  const line = (await ctl(daemon.url, ['top', '-n', '1', '--json'])).stdout.toString()
  const { jobs: shown } = JSON.parse(line) as { jobs: { pid: number }[] }
  expect(shown.find((job) => job.pid === pid)).toMatchObject({
    ...{ inputBytes: '6', outputBytes: '3000', cpuSeconds: expect.any(Number) },
    ...{ memoryBytes: expect.any(String), peakMemoryBytes: expect.any(String) },
  })
  await jobs.kill({ job: byPid(pid), signal: Signal.SIGKILL })
})

test('however many ask, all of them share one look, and the next comes half a second later at the earliest', async () => {
  let looks = 0
  const seen: object[] = []
  const own = {
    pid: process.pid,
    hasOwnGroup: false,
    end: undefined,
    seen: { see: (figures: object) => seen.push(figures) },
  }
  const usage = createSessionUsage(() => {
    looks++
    return [own as unknown as RunningProcess]
  })
  const all = () => Promise.all(Array.from({ length: 100 }, () => usage.look()))
  const began = performance.now()
  await all()
  await all()
  if (performance.now() - began < 500) expect(looks).toBe(1)
  await expect.poll(async () => usage.look().then(() => looks), { timeout: 15_000 }).toBe(2)
  expect(performance.now() - began).toBeGreaterThan(500)
})
