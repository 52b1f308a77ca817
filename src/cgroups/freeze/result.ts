import type { FreezeWrites } from './freeze-all.ts'
import type { Plan } from './plan.ts'
import type { WaitResult } from './wait-frozen.ts'

/** The answer of `POST /freeze` (contract B56): numbers of cgroups, and milliseconds, in the order of the wire. */
export interface FreezeResult {
  /** Met, and left alone so that the machine lives on. */
  readonly allowlisted: number
  /** Could not be written. */
  readonly failed: number
  /** Everything in them had stopped in time. */
  readonly frozen: number
  /** `legacy`: only the groups of commands. */
  readonly mode: 'hierarchy' | 'legacy'
  /** Something in them was still running when the time was over. */
  readonly notFrozen: number
  /** Met, and left alone as the guest had frozen them. */
  readonly preFrozen: number
  /** To be frozen, the groups of commands included. */
  readonly requested: number
  readonly sweepMs: number
  /** The bound on cgroups ended the freeze early. */
  readonly truncated: boolean
  /** Missing or not readable. */
  readonly unobservable: number
  /** Met, and removed since; groups of commands count as failed instead. */
  readonly vanished: number
  /** Met on the way through the hierarchy. */
  readonly visited: number
  readonly waitMs: number
}

/** Of a freeze that could not begin, as commands were being started all the time (contract N35). */
export const NOTHING_FROZEN: FreezeResult = {
  allowlisted: 0,
  failed: 2,
  frozen: 0,
  mode: 'legacy',
  notFrozen: 0,
  preFrozen: 0,
  requested: 0,
  sweepMs: 0,
  truncated: false,
  unobservable: 0,
  vanished: 0,
  visited: 0,
  waitMs: 0,
}

interface FreezeParts {
  readonly writes: FreezeWrites
  /** Absent: only the groups of commands were to be frozen. */
  readonly plan: Plan | undefined
  readonly waited: WaitResult
  /** Milliseconds, not whole ones. */
  readonly sweepMs: number
  readonly waitMs: number
}

/** The answer for these writes and this wait. */
export function toResult({ writes, plan, waited, sweepMs, waitMs }: FreezeParts): FreezeResult {
  const met = (duty: 'allowed' | 'preserve') => plan?.planned.filter((planned) => planned.duty === duty).length ?? 0
  const failed = writes.failed.length + waited.failed
  const requested = writes.written.length + writes.failed.length + writes.missing.length
  const unobservable = writes.missing.length + waited.unobservable
  return {
    allowlisted: met('allowed'),
    failed,
    frozen: waited.frozen,
    mode: plan === undefined ? 'legacy' : 'hierarchy',
    notFrozen: requested - waited.frozen - failed - unobservable - waited.vanished,
    preFrozen: met('preserve') + writes.guestFrozen.length,
    requested,
    sweepMs: Math.round(sweepMs),
    truncated: plan?.truncated ?? false,
    unobservable,
    vanished: writes.vanished + waited.vanished,
    visited: plan?.planned.length ?? 0,
    waitMs: Math.round(waitMs),
  }
}
