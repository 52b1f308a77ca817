import type { Workload } from '../cgroups/freeze/workload.ts'
import type { InitCall } from './call.ts'

/** Counts the calls that ended a freeze and had no client left to be answered (contract N11). */
export interface Unobserved {
  /** A call has thawed. */
  thawed(call: InitCall): void
  /** Sets `X-Envd-Init-Unobserved` of a call that succeeded, and begins anew, if its client is there. */
  report(call: InitCall): void
}

/** Makes the count; every freeze begins it anew. */
export function createUnobserved(frozen: Pick<Workload, 'generation'>): Unobserved {
  let count = 0
  let generation = frozen.generation
  const current = () => {
    if (frozen.generation !== generation) count = 0
    generation = frozen.generation
    return count
  }
  return {
    thawed: (call) => {
      if (call.left()) count = current() + 1
    },
    report: (call) => {
      if (call.left()) return
      call.setHeader('x-envd-init-unobserved', String(current()))
      count = 0
    },
  }
}
