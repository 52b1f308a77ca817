import type { Timing } from './timing.ts'

/** The restarts so far, as far as they matter for the next one. */
export interface Restarts {
  /** Restarts since it was last healthy: the exponent of the wait. */
  readonly streak: number
  /** When each restart within the breaker's window was planned, oldest first, on the clock of performance.now(). */
  readonly times: readonly number[]
}

/** None yet. */
export const NO_RESTARTS: Restarts = { streak: 0, times: [] }

/** When a restart is planned, and the dice for its jitter: 0 to 1. */
export interface Moment {
  readonly now: number
  readonly random: number
}

/** The next restart: milliseconds to wait for it, and the history with it; undefined when there were too many. */
export function planRestart(
  { streak, times }: Restarts,
  { now, random }: Moment,
  timing: Timing,
): { readonly delay: number; readonly restarts: Restarts } | undefined {
  const recent = times.filter((time) => now - time < timing.breakerWindow)
  if (recent.length >= timing.breakerRestarts) return undefined
  const wait = Math.min(timing.firstBackOff * 2 ** streak, timing.maxBackOff)
  const delay = Math.round(wait * (1 + timing.jitter * (2 * random - 1)))
  return { delay, restarts: { streak: streak + 1, times: [...recent, now] } }
}

/** The history after a run that was healthy for a while: the wait begins anew, the breaker still counts. */
export function afterHealth(restarts: Restarts): Restarts {
  return { ...restarts, streak: 0 }
}
