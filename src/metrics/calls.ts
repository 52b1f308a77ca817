import type { FinishedCall } from '../calls/finished-call.ts'

/** The calls of one method so far. */
export interface MethodCalls {
  readonly count: number
  readonly seconds: number
  /** Calls that took at most as long as each of `LATENCY_BOUNDS`. */
  readonly within: readonly number[]
  /** Failed calls by code. */
  readonly errors: ReadonlyMap<string, number>
}

/** Seconds. From the fastest calls (0.3 ms) to commands of minutes, in steps of about four. */
export const LATENCY_BOUNDS: readonly number[] = [0.0005, 0.002, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600]

/** More than all methods of all services; a bound in case that a method that does not exist were ever counted. */
const MAX_METHODS = 256

/** Counts RPCs for as long as the daemon runs. */
export interface CallCounts {
  add(call: FinishedCall): void
  /** By method, in the order of their first calls. */
  readonly methods: ReadonlyMap<string, MethodCalls>
}

interface Counts {
  count: number
  seconds: number
  readonly within: number[]
  readonly errors: Map<string, number>
}

/** Makes counts of zero. Adding a call costs less than a microsecond. */
export function createCallCounts(): CallCounts {
  const methods = new Map<string, Counts>()
  return {
    methods,
    add: ({ method, code, seconds }) => {
      let counts = methods.get(method)
      if (counts === undefined) {
        if (methods.size >= MAX_METHODS) return
        counts = { count: 0, seconds: 0, within: LATENCY_BOUNDS.map(() => 0), errors: new Map() }
        methods.set(method, counts)
      }
      counts.count++
      counts.seconds += seconds
      for (let at = LATENCY_BOUNDS.length - 1; at >= 0 && seconds <= (LATENCY_BOUNDS[at] ?? 0); at--)
        counts.within[at] = (counts.within[at] ?? 0) + 1
      if (code !== 'ok') counts.errors.set(code, (counts.errors.get(code) ?? 0) + 1)
    },
  }
}
