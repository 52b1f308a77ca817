import { setTimeout as delay } from 'node:timers/promises'
import { CLOSED } from '../errors.ts'
import { monotonicNow } from '../lib/monotonic-now.ts'
import { NEVER } from '../lib/never.ts'
import { raceAbort } from '../lib/race-abort.ts'
import { hasEnded } from './has-ended.ts'
import type { KeptKill } from './kept-account.ts'
import type { RunningProcess } from './process.ts'
import type { Registry } from './registry.ts'
import { type SignalName, sessionExists } from './terminate.ts'

/** How to end a process. */
interface KillPlan {
  readonly signal: SignalName
  /** Milliseconds after which SIGKILL follows; 0: it does not. */
  readonly grace: number
  readonly scope: 'session' | 'leader'
}

/** A process that hangs in the kernel does not end by SIGKILL: the answer says that it runs. */
const KILL_LIMIT_MS = 3_000

/**
 * First and longest pause between two checks whether a session is empty: the kernel does not report the end of its last
 * member.
 */
const LOOK_MS = 20
const MAX_LOOK_MS = 1000

/** Ends processes according to a plan. */
export interface Kills {
  /**
   * Signals a process and waits for its end, and with its session for the end of every process in it that does not
   * ignore SIGHUP: at most for the grace, after which SIGKILL follows, also if the caller has left meanwhile, and from
   * the next daemon if this one ends. Rejects with `permission_denied`, or the reason of the caller's signal.
   */
  kill(process: RunningProcess, plan: KillPlan, caller: AbortSignal): Promise<void>
}

/** A kill whose caller has left. */
interface Abandoned {
  /** When its SIGKILL follows, in milliseconds of the monotonic clock. */
  readonly until: number
  readonly over: AbortController
}

/**
 * Of kills whose callers have left each process keeps one for each scope, the one whose SIGKILL comes first.
 */
export function createKills(registry: Registry): Kills {
  const all = { session: new WeakMap<RunningProcess, Abandoned>(), leader: new WeakMap<RunningProcess, Abandoned>() }
  return {
    async kill(process, plan, caller) {
      const over = new AbortController()
      const mine = { until: performance.now() + plan.grace, over }
      const abandoned = all[plan.scope]
      const done = keepPlan(process, plan)
      await send(process, plan.signal, plan.scope).catch((error: unknown) => {
        done()
        throw error
      })
      const left = () => {
        const other = abandoned.get(process)
        const isFirst = other === undefined || mine.until < other.until
        // Without a SIGKILL to come there is nothing left to do.
        if (plan.signal === 'SIGKILL' || plan.grace === 0 || !isFirst) return over.abort(CLOSED)
        other?.over.abort(CLOSED)
        abandoned.set(process, mine)
      }
      const carriedOut = carryOut(process, plan, { registry, over: over.signal }).finally(() => {
        done()
        caller.removeEventListener('abort', left)
        if (abandoned.get(process) === mine) abandoned.delete(process)
      })
      caller.addEventListener('abort', left, { once: true })
      if (caller.aborted) left()
      await raceAbort(carriedOut, caller)
    },
  }
}

/** Returns what is to be called when the plan is carried out. */
function keepPlan(process: RunningProcess, { signal, grace, scope }: KillPlan): () => void {
  // One that comes at once the process keeps itself.
  if (signal === 'SIGKILL' || grace === 0) return () => {}
  return process.keepKill({ at: monotonicNow() + grace, scope })
}

/**
 * Carries out what an earlier daemon has left of a kill: SIGKILL at its time, unless all have ended before. To be
 * called when the process is known; the rest goes on by itself.
 */
export function goOnKilling(process: RunningProcess, kill: KeptKill, registry: Registry): void {
  const { at, scope, reason } = kill
  const left = at - monotonicNow()
  if (left <= 0) {
    process.signal('SIGKILL', NEVER, reason, scope)
    return
  }
  const done = process.keepKill(kill)
  const plan = { signal: 'SIGTERM', grace: left, scope } as const
  // Its caller is gone, and cannot hear that it was refused.
  void carryOut(process, plan, { registry, over: NEVER })
    .catch(() => {})
    .finally(done)
}

async function send(process: RunningProcess, name: SignalName, scope: KillPlan['scope']): Promise<void> {
  const { refused, others } = process.signal(name, NEVER, undefined, scope)
  if (refused !== undefined) throw refused
  await others
}

/**
 * Waits for the end after the signal of a plan, and sends SIGKILL after the grace. Rejects with the reason of `over`,
 * or when SIGKILL is refused.
 */
async function carryOut(
  process: RunningProcess,
  { signal, grace, scope }: KillPlan,
  { registry, over }: { readonly registry: Registry; readonly over: AbortSignal },
): Promise<void> {
  const isOver = async (milliseconds: number) => {
    const until = performance.now() + milliseconds
    if (!(await hasEnded(process, registry, { milliseconds, signal: over }))) return false
    // Without a limit the end of the leader is the end.
    return scope === 'leader' || milliseconds === Number.POSITIVE_INFINITY || isEmpty(process, until, over)
  }
  if (signal === 'SIGKILL') return void (await isOver(KILL_LIMIT_MS))
  if (await isOver(grace === 0 ? Number.POSITIVE_INFINITY : grace)) return
  await send(process, 'SIGKILL', scope)
  await isOver(KILL_LIMIT_MS)
}

/** Whether the session of a process that has ended is empty before `until`, but for those that ignore SIGHUP. */
async function isEmpty(process: RunningProcess, until: number, over: AbortSignal): Promise<boolean> {
  for (let pause = LOOK_MS; await sessionExists(process.leader); pause = Math.min(2 * pause, MAX_LOOK_MS)) {
    const left = until - performance.now()
    if (left <= 0) return false
    await delay(Math.min(pause, left), undefined, { signal: over })
  }
  return true
}
