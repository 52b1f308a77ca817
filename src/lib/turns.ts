import { setImmediate } from 'node:timers/promises'

/** What a job may do before other work gets a turn: a request that comes meanwhile waits no longer. */
const TURN_MS = 3

/** Cuts a long job into pieces. */
export interface Turns {
  /** Undefined while the turn lasts; then a promise to wait for before going on. */
  next(): Promise<void> | undefined
}

/** Begins a turn. */
export function createTurns(): Turns {
  let end = performance.now() + TURN_MS
  return {
    next: () => {
      if (performance.now() < end) return undefined
      return setImmediate().then(() => {
        end = performance.now() + TURN_MS
      })
    },
  }
}
