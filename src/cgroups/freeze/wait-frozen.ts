import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { forEachLimited } from '../../lib/for-each-limited.ts'
import { GROUP_LANES, isGone, readEvents } from './group-files.ts'
import { isWorkload } from './plan.ts'

/** Time between two reads (contract H6); most groups stop within one or two. */
const POLL_MS = 2

/**
 * How many groups have stopped, how many are unobservable, and how many were removed: groups of commands failed, others
 * vanished.
 */
export interface WaitResult {
  readonly frozen: number
  readonly unobservable: number
  readonly vanished: number
  readonly failed: number
}

interface WaitOptions {
  readonly root: string
  /** Paths from the root. */
  readonly groups: readonly string[]
  /** Milliseconds; 0: read the states once. */
  readonly maxWait: number
}

/**
 * Waits until every process of the groups has stopped, all groups together, or the time is over; nothing runs in a
 * group that was removed. Rejects with the signal's reason if it aborts first.
 */
export async function waitUntilFrozen(
  { root, groups, maxWait }: WaitOptions,
  signal: AbortSignal,
): Promise<WaitResult> {
  const deadline = performance.now() + maxWait
  let pending = groups
  const count = { frozen: 0, unobservable: 0, vanished: 0, failed: 0 }
  for (;;) {
    const running: string[] = []
    await forEachLimited(pending, GROUP_LANES, async (group) => {
      const state = signal.aborted ? 'running' : await stateOf(join(root, group))
      if (state === 'running') running.push(group)
      else if (state !== 'gone') count[state] += 1
      else if (isWorkload(group)) count.failed += 1
      else count.vanished += 1
    })
    signal.throwIfAborted()
    const left = deadline - performance.now()
    if (running.length === 0 || left <= 0) return count
    pending = running
    await untilNextLook(Math.min(POLL_MS, left), signal)
  }
}

async function stateOf(directory: string): Promise<'frozen' | 'running' | 'unobservable' | 'gone'> {
  try {
    return (await readEvents(directory)).frozen ? 'frozen' : 'running'
  } catch (error) {
    return isGone(error) ? 'gone' : 'unobservable'
  }
}

async function untilNextLook(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(milliseconds, undefined, { signal })
  } catch {
    throw signal.reason
  }
}
