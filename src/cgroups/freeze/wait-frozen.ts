import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { forEachLimited } from '../../lib/for-each-limited.ts'
import { GROUP_LANES, isGone, readEvents } from './group-files.ts'

/** Time between two reads (contract H6); most groups stop within one or two. */
const POLL_MS = 2

/** Numbers of groups that stopped, and of groups whose state cannot be read. */
export interface WaitResult {
  readonly frozen: number
  readonly unobservable: number
}

interface WaitOptions {
  readonly root: string
  /** Paths from the root. */
  readonly groups: readonly string[]
  /** Milliseconds; 0: read the states once. */
  readonly maxWait: number
}

/**
 * Waits until every process of the groups has stopped, all groups together, or the time is over. A group that vanished counts
 * as frozen, as nothing runs in it. Rejects with the signal's reason if it aborts first.
 */
export async function waitUntilFrozen(
  { root, groups, maxWait }: WaitOptions,
  signal: AbortSignal,
): Promise<WaitResult> {
  const deadline = performance.now() + maxWait
  let pending = groups
  let frozen = 0
  let unobservable = 0
  for (;;) {
    const running: string[] = []
    await forEachLimited(pending, GROUP_LANES, async (group) => {
      const state = signal.aborted ? 'running' : await stateOf(join(root, group))
      if (state === 'frozen') frozen += 1
      else if (state === 'running') running.push(group)
      else unobservable += 1
    })
    signal.throwIfAborted()
    const left = deadline - performance.now()
    if (running.length === 0 || left <= 0) return { frozen, unobservable }
    pending = running
    await untilNextLook(Math.min(POLL_MS, left), signal)
  }
}

async function stateOf(directory: string): Promise<'frozen' | 'running' | 'unobservable'> {
  try {
    return (await readEvents(directory)).frozen ? 'frozen' : 'running'
  } catch (error) {
    return isGone(error) ? 'frozen' : 'unobservable'
  }
}

async function untilNextLook(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(milliseconds, undefined, { signal })
  } catch {
    throw signal.reason
  }
}
