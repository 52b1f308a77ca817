import type { TimeSlice } from './time-slice.ts'

/** Work that pauses after each step, far below a millisecond, and returns its result. */
export type Steps<T> = Generator<undefined, T, undefined>

/** Does all of it at once. */
export function takeSteps<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}

/** Does it in slices of time: the result at once if the slice lasts. */
export function inSlices<T>(steps: Steps<T>, slice: TimeSlice): T | Promise<T> {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    const turn = slice.next()
    if (turn !== undefined) return turn.then(() => inSlices(steps, slice))
  }
}
