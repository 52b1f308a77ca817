import { loopTurns } from './turns.ts'

/** How long a job may hold the event loop at a stretch; requests wait at most this long for it. */
const SLICE_MS = 3

/** Splits a long job into slices between which the event loop serves other work, other long jobs among it. */
export interface TimeSlice {
  /** Undefined while the slice lasts; then a promise to await before the next slice. */
  next(): Promise<void> | undefined
}

/** Starts the first slice now. */
export function createTimeSlice(): TimeSlice {
  let end = performance.now() + SLICE_MS
  const job = {
    next: () => {
      if (performance.now() < end) return undefined
      return loopTurns.next(job).then(() => {
        end = performance.now() + SLICE_MS
      })
    },
  }
  return job
}
