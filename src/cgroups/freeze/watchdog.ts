import { longTimeout } from '../../lib/long-timeout.ts'

/**
 * How long a freeze may last (contract H9): far beyond any pause of a sandbox, which takes seconds. Time of a stopped
 * machine does not count.
 */
export const WATCHDOG_MS = 10 * 60 * 1000

/** Runs an action once, some time after it was armed, unless it is disarmed before. */
export interface Watchdog {
  /** Begins the time anew. @param ms another one than the period. */
  arm(ms?: number): void
  /** Idempotent. */
  disarm(): void
}

/**
 * Makes a watchdog that calls back once the period has passed since it was armed. Its timer alone keeps no process
 * alive.
 */
export function createWatchdog(period: number, expired: () => void): Watchdog {
  let cancel = () => {}
  return {
    arm: (ms = period) => {
      cancel()
      cancel = longTimeout(ms, expired)
    },
    disarm: () => cancel(),
  }
}
