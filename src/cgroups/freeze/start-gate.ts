import { join } from 'node:path'
import { AppError } from '../../errors.ts'
import { NEVER } from '../../lib/never.ts'
import { withTimeout } from '../../lib/with-timeout.ts'
import type { Log } from '../../log.ts'
import { COMMAND_GROUPS, type CommandGroup } from '../properties.ts'
import { isSetToFreeze } from './group-files.ts'
import { NO_STATES, openGroupStates } from './group-states.ts'

/**
 * Where starts wait while their cgroup is frozen: a child that is cloned into it would not reach its exec before the
 * thaw.
 */
export interface StartGate {
  /**
   * Resolves when the group lets processes run; the caller then starts one and calls the returned function, once, when
   * exec is done or failed. Rejects with the signal's reason, with `resource_exhausted` when too many wait, or with
   * `unavailable` after half a minute (contract N4). The wait is logged once.
   * @param what says what was to be started, for the text of `unavailable`.
   */
  enter(group: CommandGroup, signal: AbortSignal, what?: () => string): Promise<() => void>
  /**
   * Lets no start in any more, and resolves when those inside have left. The caller freezes and then opens the
   * gate with the returned function; starts go on to wait by what the kernel says. Undefined, with the gate open again,
   * if they have not left after a quarter of a second.
   */
  shut(): Promise<(() => void) | undefined>
  /** Sets whether what is frozen was frozen by a freeze of ours, for the text of `unavailable`. */
  ownFreeze(inEffect: boolean): void
  /** Every group of commands was seen to let processes run. */
  isThawed(): boolean
  /** Closes the descriptors; starts that wait go on. */
  close(): void
}

/** Starts that may wait, as many as commands may run. */
const MAX_WAITING = 1000
/**
 * What a start takes from clone to exec is 1 ms; with one that takes longer, half made, no snapshot is to be taken
 * (contract N35).
 */
const LEAVE_MS = 250
/** Clients do not try again (contract N4): a pause takes less. */
const MAX_WAIT_MS = 30_000
/**
 * Milliseconds between looks at a group that a start waits for: others may thaw it too, and the kernel takes a moment.
 */
const LOOK_MS = 20

/**
 * Makes the gate for the groups of commands below `root`; one that cannot be read lets every start in. Without a root
 * there are none, and only `shut` closes it.
 * @param maxWait milliseconds that a start waits at most; another one than the standard is for tests.
 */
export async function createStartGate(root: string | undefined, log: Log, maxWait = MAX_WAIT_MS): Promise<StartGate> {
  const states = root === undefined ? NO_STATES : await openGroupStates(root)
  let shutters = 0
  const underWay = createUnderWay()
  let isOwn = false
  const isClosed = (group: CommandGroup) => shutters > 0 || states.read(group) === 'frozen'
  const waiters = createWaiters(isClosed)
  const refusal = async (group: CommandGroup, what: string) => {
    const by = isOwn || root === undefined ? '' : await guestFreeze(join(root, group))
    return new AppError('unavailable', `${what}: the target cgroup is frozen${by}`)
  }

  return {
    enter: async (group, signal, what = () => 'error starting process') => {
      if (isClosed(group)) {
        waiters.checkRoom()
        log.info({ group }, 'a start waits for its cgroup to be thawed')
        const late = AbortSignal.timeout(maxWait)
        await waiters.untilOpen(group, AbortSignal.any([signal, late])).catch(async (error: unknown) => {
          throw late.aborted && !signal.aborted ? await refusal(group, what()) : error
        })
      }
      return underWay.begin()
    },
    shut: async () => {
      shutters += 1
      const left = await underWay.haveLeft()
      const open = () => {
        shutters -= 1
        waiters.look()
      }
      if (left) return open
      open()
      return undefined
    },
    ownFreeze: (inEffect) => {
      isOwn = inEffect
    },
    isThawed: () => COMMAND_GROUPS.every((group) => states.read(group) === 'running'),
    close: () => {
      states.close()
      waiters.look()
    },
  }
}

interface Waiter {
  readonly group: CommandGroup
  readonly wake: () => void
}

/** Starts that wait until their group is not closed any more. */
function createWaiters(isClosed: (group: CommandGroup) => boolean) {
  const waiters = new Set<Waiter>()
  let looking: NodeJS.Timeout | undefined
  const look = () => {
    const open = COMMAND_GROUPS.filter((group) => !isClosed(group))
    for (const waiter of [...waiters]) if (open.includes(waiter.group)) waiter.wake()
    if (waiters.size > 0) return
    clearInterval(looking)
    looking = undefined
  }
  const wait = (group: CommandGroup, signal: AbortSignal) =>
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
  return {
    /** Looks now, and wakes those whose group is open. */
    look,
    /** Throws AppError `resource_exhausted` when no more may wait. */
    checkRoom: () => {
      if (waiters.size >= MAX_WAITING)
        throw new AppError('resource_exhausted', `${MAX_WAITING} starts wait already for their cgroup to be thawed`)
    },
    /** Rejects with the signal's reason. */
    untilOpen: async (group: CommandGroup, signal: AbortSignal) => {
      do await wait(group, signal)
      while (isClosed(group))
    },
  }
}

/** How the cgroup reads that the guest has frozen, for the text of `unavailable`. */
async function guestFreeze(directory: string): Promise<string> {
  const isSet = await isSetToFreeze(directory).catch(() => false)
  return `: ${directory} ${isSet ? 'has a freeze requested' : 'reads frozen'}`
}

/** Counts the starts that were let in. */
function createUnderWay() {
  let count = 0
  let emptied = () => {}
  return {
    /** Returns what is to be called when it has ended. */
    begin: () => {
      count += 1
      return () => {
        count -= 1
        if (count === 0) emptied()
      }
    },
    /** Whether all have ended, now or within LEAVE_MS. */
    haveLeft: async () => {
      if (count > 0) {
        const gone = new Promise<void>((resolve) => {
          emptied = resolve
        })
        await withTimeout(LEAVE_MS, gone, NEVER)
      }
      return count === 0
    },
  }
}
