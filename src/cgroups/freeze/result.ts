import type { Plan } from './plan.ts'
import type { Settled } from './settle.ts'
import type { Swept } from './sweep.ts'

/** What `POST /freeze` answers (contract B56): numbers of cgroups, and milliseconds. The order of the members is that of the wire. */
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
  /** The bound on cgroups ended the sweep early. */
  readonly truncated: boolean
  /** Missing or not readable. */
  readonly unobservable: number
  /** Met on the way through the hierarchy. */
  readonly visited: number
  readonly waitMs: number
}

/** What a result is made of. */
export interface FreezeParts {
  readonly swept: Swept
  /** Absent: only the groups of commands were to be frozen. */
  readonly plan: Plan | undefined
  readonly settled: Settled
  /** Milliseconds, not whole ones. */
  readonly sweepMs: number
  readonly waitMs: number
}

/** Counts. */
export function toResult({ swept, plan, settled, sweepMs, waitMs }: FreezeParts): FreezeResult {
  const met = (duty: 'allowed' | 'preserve') => plan?.planned.filter((planned) => planned.duty === duty).length ?? 0
  const failed = swept.failed.length
  const requested = swept.written.length + failed + swept.missing.length
  const unobservable = swept.missing.length + settled.unobservable
  return {
    allowlisted: met('allowed'),
    failed,
    frozen: settled.frozen,
    mode: plan === undefined ? 'legacy' : 'hierarchy',
    notFrozen: requested - settled.frozen - failed - unobservable,
    preFrozen: met('preserve'),
    requested,
    sweepMs: Math.round(sweepMs),
    truncated: plan?.truncated ?? false,
    unobservable,
    visited: plan?.planned.length ?? 0,
    waitMs: Math.round(waitMs),
  }
}
