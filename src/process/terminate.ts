import { constants } from 'node:os'
import { AppError, errnoOf } from '../errors.ts'
import { startTimeOf } from '../lib/proc-pid.ts'
import { pidfdSignal } from '../native/index.ts'
import { isReaped, type SessionSignal, signalOthers } from './session-signals.ts'

/** Leader of a session. */
export interface SessionLeader {
  readonly pid: number
  /** Undefined once it has been reaped, or if it never was. */
  readonly pidfd: () => number | undefined
}

const { SIGINT, SIGTERM, SIGKILL, SIGCONT } = constants.signals
const { ESRCH } = constants.errno

/** Signals that clients may send to a session. */
export type SignalName = 'SIGINT' | 'SIGTERM' | 'SIGKILL'

/**
 * The kernel's signals for each name. A stopped process does not handle SIGTERM before it continues, so SIGCONT
 * follows, as in systemd.
 */
const SIGNALS: Readonly<Record<SignalName, SessionSignal>> = {
  SIGINT: { first: SIGINT, second: SIGCONT },
  SIGTERM: { first: SIGTERM, second: SIGCONT },
  SIGKILL: { first: SIGKILL, second: 0 },
}
const LOOK: SessionSignal = { first: 0, second: 0 }

/** Walks until a kill finds no new process. A fork bomb can outrun any number; each walk halves an ordinary tree. */
const MAX_WALKS = 16

/** What became of a signal to a session. */
export interface Sent {
  /** The daemon may not signal the leader. */
  readonly refused: AppError | undefined
  /** Resolves when all other members are signalled. Never rejects. */
  readonly others: Promise<void>
}

/**
 * Signals the leader of a session at once, and all its other members by `others` (`signalMembers`), unless the scope is
 * the leader.
 * @param keep has a SIGKILL sent by the next daemon, until what it returns is called: a walk may outlast this one.
 */
export function signalSession(
  leader: SessionLeader,
  signal: SignalName,
  options: { readonly abort: AbortSignal; readonly scope: 'session' | 'leader'; readonly keep: () => () => void },
): Sent {
  const { abort, scope, keep } = options
  if (scope === 'leader') return { refused: signalLeader(leader, signal), others: Promise.resolve() }
  const done = signal === 'SIGKILL' ? keep() : undefined
  const refused = signalLeader(leader, signal)
  const others = signalMembers(leader, signal, abort)
  if (done !== undefined) void others.then(done)
  return { refused, others }
}

/**
 * Signals the leader of a session, at once; one that is gone is no error. Returns `permission_denied` where the daemon
 * may not.
 */
export function signalLeader(leader: SessionLeader, signal: SignalName): AppError | undefined {
  const { first, second } = SIGNALS[signal]
  for (const number of second === 0 ? [first] : [first, second]) {
    const pidfd = leader.pidfd()
    if (pidfd === undefined) return undefined
    const result = pidfdSignal(pidfd, number)
    // As from a sandbox that knows no pidfds. The number is the leader's as long as it is not reaped.
    if (result < 0 && result !== -ESRCH && !signalByNumber(leader.pid, number))
      return new AppError('permission_denied', `error sending signal: the daemon may not signal process ${leader.pid}`)
  }
  return undefined
}

/** False: not permitted. One that is gone needs no signal. */
function signalByNumber(pid: number, signal: number): boolean {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    return errnoOf(error) === 'ESRCH'
  }
}

const underWay = new Set<Promise<void>>()

/** Resolves when every signal that is under way now has been sent. Never rejects. */
export async function untilSignalled(): Promise<void> {
  await Promise.all(underWay)
}

/**
 * Signals every process in a session but its leader, except those that ignore SIGHUP, so that `nohup` and `setsid` mean
 * what they say. SIGKILL goes on until no process is left, as a tree that is being killed may still fork. Never
 * rejects. Stops early when `abort` aborts.
 */
export function signalMembers(leader: SessionLeader, signal: SignalName, abort: AbortSignal): Promise<void> {
  const done = walkUntilDone(leader, signal, abort).finally(() => underWay.delete(done))
  underWay.add(done)
  return done
}

async function walkUntilDone(leader: SessionLeader, signal: SignalName, abort: AbortSignal): Promise<void> {
  const walks = signal === 'SIGKILL' ? MAX_WALKS : 1
  const signalled = new Set<number>()
  for (let walk = 0; walk < walks && !abort.aborted; walk++) {
    const reached = (await signalOthers(leader, SIGNALS[signal])).filter((pid) => !signalled.has(pid))
    if (reached.length === 0) return
    for (const pid of reached) signalled.add(pid)
  }
}

/**
 * When the leader was started (`startTimeOf`); undefined once it has ended, also if another process has its pid then.
 * Never rejects.
 */
export async function startTimeOfLeader(leader: SessionLeader): Promise<string | undefined> {
  const startTime = await startTimeOf(leader.pid)
  return isReaped(leader) ? undefined : startTime
}

/** Whether a signal to the session would reach a process: the leader, or another member. */
export async function sessionExists(leader: SessionLeader): Promise<boolean> {
  return leader.pidfd() !== undefined || (await signalOthers(leader, LOOK)).length > 0
}
