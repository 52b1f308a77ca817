import { join } from 'node:path'
import { NEVER } from '../lib/never.ts'
import { WakeUp } from '../lib/wake-up.ts'
import type { Log } from '../log.ts'
import type { CpuMasks } from './masks.ts'
import type { OnlineWriter } from './online-writer.ts'

/** Brings the number of CPUs that are online to a target, one CPU at a time, in the background (contract N6). */
interface CpuWorker {
  /** 0: none was set. */
  readonly target: number
  /** Runs since the target was set. */
  readonly attempts: number
  /** Sets another target at any time, or begins anew with one that was given up. At least 1. */
  aim(target: number): void
  /** Idempotent. */
  close(): void
}

interface CpuWorkerOptions {
  /** The directory with `cpuN/online`. */
  readonly root: string
  readonly masks: CpuMasks
  readonly writer: OnlineWriter
  readonly log: Log
  /** Milliseconds until the first repetition; another one than the standard is for tests. */
  readonly pause?: number
}

/** Until a run that failed is repeated; twice as long each time, up to MAX_PAUSE_MS. */
const PAUSE_MS = 1_000
const MAX_PAUSE_MS = 30_000
/** After so many runs in a row that changed nothing the target is given up. */
const MAX_IDLE_RUNS = 10

/** Makes a worker without a target. */
export function createCpuWorker({ root, masks, writer, log, pause = PAUSE_MS }: CpuWorkerOptions): CpuWorker {
  let target = 0
  let attempts = 0
  let busy = false
  let closed = false
  const aimed = new WakeUp()

  const run = (goal: number) => changeCpus({ root, masks, writer }, goal, () => goal === target && !closed)

  const work = async (): Promise<void> => {
    let idleRuns = 0
    let state = masks.online().join()
    busy = true
    for (let goal = 0; !closed; ) {
      if (goal !== target) idleRuns = 0
      goal = target
      attempts += 1
      const reached = await run(goal)
      const before = state
      state = masks.online().join()
      idleRuns = state === before ? idleRuns + 1 : 0
      if (goal !== target) continue
      busy = !reached && idleRuns < MAX_IDLE_RUNS
      if (reached) log.info({ target, attempts }, 'as many CPUs are online as were asked for')
      else if (!busy) log.warn({ target, attempts }, 'the number of CPUs cannot be reached')
      if (!busy) return
      const wait = Math.min(pause * 2 ** Math.max(0, idleRuns - 1), MAX_PAUSE_MS)
      await aimed.wait(wait, NEVER)
    }
  }

  return {
    get target() {
      return target
    },
    get attempts() {
      return attempts
    },
    aim: (wanted) => {
      if (wanted === target && (busy || masks.online().length === wanted)) return
      target = wanted
      attempts = 0
      aimed.wake()
      if (!busy) void work()
    },
    close: () => {
      closed = true
      aimed.wake()
    },
  }
}

/**
 * Changes one CPU after the other. Resolves with whether so many are online. Ends early when a CPU does not obey, or
 * when `goesOn` is false.
 */
async function changeCpus(
  { root, masks, writer }: Pick<CpuWorkerOptions, 'root' | 'masks' | 'writer'>,
  goal: number,
  goesOn: () => boolean,
): Promise<boolean> {
  for (let writes = 0; writes < masks.possible.length && goesOn(); writes++) {
    const before = masks.online()
    const cpu = nextCpu(masks.possible, before, goal)
    if (before.length === goal || cpu === undefined) break
    await writer.write(join(root, `cpu${cpu}`, 'online'), before.length < goal)
    if (masks.online().includes(cpu) === before.includes(cpu)) break
  }
  return masks.online().length === goal
}

/** The lowest one that is offline, or the highest one that is online, but never CPU 0. */
function nextCpu(possible: readonly number[], online: readonly number[], goal: number): number | undefined {
  if (online.length < goal) return possible.find((cpu) => !online.includes(cpu))
  return online.findLast((cpu) => cpu !== 0)
}
