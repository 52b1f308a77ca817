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
  /** Met on the way through the hierarchy. */
  readonly visited: number
  readonly waitMs: number
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
  const failed = writes.failed.length
  const requested = writes.written.length + failed + writes.missing.length
  const unobservable = writes.missing.length + waited.unobservable
  return {
    allowlisted: met('allowed'),
    failed,
    frozen: waited.frozen,
    mode: plan === undefined ? 'legacy' : 'hierarchy',
    notFrozen: requested - waited.frozen - failed - unobservable,
    preFrozen: met('preserve'),
    requested,
    sweepMs: Math.round(sweepMs),
    truncated: plan?.truncated ?? false,
    unobservable,
    visited: plan?.planned.length ?? 0,
    waitMs: Math.round(waitMs),
  }
}
