import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Cause, Limit } from '../../src/gen/jobs/v1/jobs_pb.js'
import { needsRoot } from '../_util/namespace.ts'
import { inOwnKernel } from '../_util/user-mode-linux.ts'

interface End {
  readonly exitCode?: number
  readonly status: string
  readonly cause: Cause
  readonly limitsHit: readonly Limit[]
  readonly cpuSeconds: number
  readonly peakMemory: number
}

/** What the program reports; of commands with a limit of memory, of processes, of CPU time, in this order. */
interface Report {
  readonly groups: number
  readonly without: readonly End[]
  readonly after: readonly End[]
  readonly meanwhile: readonly End[]
  readonly again: readonly End[]
  readonly ofAll: End
}

test('commands with limits end as without it when the daemon crashes before, or while it is not there', async (context) => {
  needsRoot(context)
  const result = (await inOwnKernel(context, join(import.meta.dirname, 'fixtures/limits-over-crashes.ts'))) as Report
  const [memory, processes, cpu] = [
    { exitCode: -1, status: 'signal: killed', cause: Cause.LIMIT, limitsHit: [Limit.MEMORY] },
    { exitCode: 7, status: 'exit status 7', cause: Cause.EXIT, limitsHit: [Limit.PIDS] },
    { exitCode: 3, status: 'exit status 3', cause: Cause.EXIT, limitsHit: [] },
  ]
  for (const ends of [result.without, result.after, result.meanwhile]) {
    expect(ends).toMatchObject([memory, processes, cpu])
    // Of the whole life of each: the first had all of its memory, the last worked before the crash only.
    expect(ends[0]?.peakMemory).toBe(52_428_800)
    expect(ends[1]?.peakMemory).toBeGreaterThan(0)
    expect(ends[2]?.cpuSeconds).toBeGreaterThan(0.3)
  }
  expect(result.groups).toBe(3)
  expect(result.again).toEqual(result.meanwhile)
  expect(result.ofAll).toMatchObject({ status: 'signal: killed', cause: Cause.OUT_OF_MEMORY, limitsHit: [] })
}, 450_000)
