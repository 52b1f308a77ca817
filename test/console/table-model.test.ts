import { create } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import { expect, test } from 'vitest'
import { commandLine, keyOf, rowsOf, withJobs } from '../../src/console/processes/table-model.ts'
import { type Job, JobSchema, State } from '../../src/gen/jobs/v1/jobs_pb.js'

function job(pid: number, started: number, rest: Partial<Omit<Job, '$typeName'>> = {}): Job {
  const base = { pid, cmd: 'make', user: 'root', state: State.RUNNING, started: timestampFromMs(started) }
  return create(JobSchema, { ...base, ...rest })
}
const pids = (rows: readonly Job[]) => rows.map(({ pid }) => pid)
const all = { state: 'all', text: '' } as const
const newest = { key: 'started', descending: true } as const

test('a job that has ended does not run again by an older look at it', () => {
  const ended = job(1, 1_000, { state: State.ENDED, status: 'exit status 3' })
  const jobs = withJobs(withJobs(new Map(), [job(1, 1_000), ended]), [job(1, 1_000)])
  expect(rowsOf(jobs, all, newest)).toEqual([ended])
})

test('a pid that is used again is another job', () => {
  const jobs = withJobs(new Map(), [job(1, 1_000), job(1, 2_000)])
  expect(rowsOf(jobs, all, newest).map(keyOf)).toEqual(['1@2.0', '1@1.0'])
})

test('jobs are ordered by each column, and chosen by state and text', () => {
  const jobs = withJobs(new Map(), [
    job(1, 3_000, { cpuSeconds: 1, memoryBytes: 4n, peakMemoryBytes: 5n }),
    job(2, 1_000, { cpuSeconds: 9, cmd: 'ant', user: 'user', tag: 'build' }),
    job(3, 2_000, { state: State.ENDED, ended: timestampFromMs(9), status: 'signal: killed', peakMemoryBytes: 7n }),
  ])
  const by = (key: Parameters<typeof rowsOf>[2]['key'], descending = false) =>
    pids(rowsOf(jobs, all, { key, descending }))
  expect(by('pid', true)).toEqual([3, 2, 1])
  expect(by('started')).toEqual([2, 3, 1])
  expect(by('cpu', true)).toEqual([2, 1, 3])
  expect(by('peak', true)).toEqual([3, 1, 2])
  expect(by('memory', true)).toEqual([1, 3, 2])
  expect(by('command')).toEqual([2, 1, 3])
  expect(by('user')).toEqual([1, 3, 2])
  expect(by('state')).toEqual([1, 2, 3])
  expect(pids(rowsOf(jobs, { state: 'running', text: '' }, newest))).toEqual([1, 2])
  expect(pids(rowsOf(jobs, { state: 'ended', text: '' }, newest))).toEqual([3])
  expect(pids(rowsOf(jobs, { state: 'all', text: 'BUILD' }, newest))).toEqual([2])
  expect(pids(rowsOf(jobs, { state: 'all', text: 'killed' }, newest))).toEqual([3])
})

test('the oldest jobs go where there are more than 4,000', () => {
  const jobs = withJobs(
    new Map(),
    Array.from({ length: 4_005 }, (_, i) => job(i + 1, i * 1_000)),
  )
  expect(jobs.size).toBe(4_000)
  expect(pids(rowsOf(jobs, all, { key: 'pid', descending: false }))[0]).toBe(6)
})

test('a command line is written as a shell would take it', () => {
  expect(commandLine(job(1, 0, { cmd: 'sh', args: ['-c', "echo 'a b'", ''], argsLeftOut: 2 }))).toBe(
    "sh -c 'echo '\\''a b'\\''' '' … and 2 more",
  )
})
