import { setTimeout as delay } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { openGroupStates } from './group-states.ts'
import { WORKLOAD, type WorkloadGroup } from './plan.ts'

/** Where starts wait while their cgroup is frozen: a child that is cloned into it would not reach its exec before the thaw. */
export interface StartGate {
  /**
   * Resolves when the group lets processes run; the caller then starts one and calls what this gave, once, when exec is done or
   * failed. Rejects with the signal's reason, or with `resource_exhausted` when too many wait. The wait is logged once.
   */
  enter(group: WorkloadGroup, signal: AbortSignal): Promise<() => void>
  /**
   * Lets nobody in any more, and resolves when those who are inside have left, or after a tenth of a second. The caller freezes
   * and then opens the gate with what this gave; starts go on to wait by what the kernel says.
   */
  shut(): Promise<() => void>
  /** Every group of commands was seen to let processes run. */
  isThawed(): boolean
  /** Closes the descriptors; who waits goes on. */
  close(): void
}

/** Starts that may wait, as many as commands may run. */
const MAX_WAITING = 1000
/** What a start takes from clone to exec is 1 ms; one whose program lies on a slow disk must not hold up a freeze. */
const LEAVE_MS = 100
/** Time between looks at a group that somebody waits for: others may thaw it too, and the kernel takes a moment. */
const LOOK_MS = 20

interface Waiter {
  readonly group: WorkloadGroup
  readonly wake: () => void
}

/** Makes the gate for the groups of commands below `root`; one that cannot be read lets everybody in. */
export async function createStartGate(root: string, log: Log): Promise<StartGate> {
  const states = await openGroupStates(root)
  const waiters = new Set<Waiter>()
  let shutters = 0
  let inside = 0
  let emptied = () => {}
  let looking: NodeJS.Timeout | undefined
  const isClosed = (group: WorkloadGroup) => shutters > 0 || states.read(group) === 'frozen'

  const look = () => {
    const open = WORKLOAD.filter((group) => !isClosed(group))
    for (const waiter of [...waiters]) if (open.includes(waiter.group)) waiter.wake()
    if (waiters.size > 0) return
    clearInterval(looking)
    looking = undefined
  }

  const wait = (group: WorkloadGroup, signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      const settle = (finish: () => void) => {
        waiters.delete(waiter)
        signal.removeEventListener('abort', abort)
        finish()
      }
      const abort = () => settle(() => reject(signal.reason))
      const waiter = { group, wake: () => settle(resolve) }
      waiters.add(waiter)
      looking ??= setInterval(look, LOOK_MS).unref()
      signal.addEventListener('abort', abort)
      if (signal.aborted) abort()
    })

  const leave = () => {
    inside -= 1
    if (inside === 0) emptied()
  }

  return {
    enter: async (group, signal) => {
      if (isClosed(group)) {
        if (waiters.size >= MAX_WAITING)
          throw new AppError('resource_exhausted', `${MAX_WAITING} starts wait already for their cgroup to be thawed`)
        log.info({ group }, 'a start waits for its cgroup to be thawed')
        do await wait(group, signal)
        while (isClosed(group))
      }
      inside += 1
      return leave
    },

    shut: async () => {
      shutters += 1
      if (inside > 0) {
        const settled = new AbortController()
        const gone = new Promise<void>((resolve) => {
          emptied = resolve
        })
        await Promise.race([gone, delay(LEAVE_MS, undefined, { signal: settled.signal }).catch(() => {})])
        settled.abort()
      }
      return () => {
        shutters -= 1
        look()
      }
    },

    isThawed: () => WORKLOAD.every((group) => states.read(group) === 'running'),

    close: () => {
      states.close()
      look()
    },
  }
}
