import { errnoOf } from '../errors.ts'
import type { Log } from '../log.ts'

/** A clock that is behind breaks certificates and tokens at once, so it is corrected beyond 50 ms. */
const MAX_BEHIND = 50_000_000n

/** A clock that is ahead is left alone up to 5 s: setting it back repeats time for everything that runs. */
const MAX_AHEAD = 5_000_000_000n

/** Whether a clock at `now` is to be set to `wanted`; both in nanoseconds since 1970 (contract F12). */
export function isClockOff(now: bigint, wanted: bigint): boolean {
  return wanted - now > MAX_BEHIND || now - wanted > MAX_AHEAD
}

/** The machine's wall clock. */
export interface Clock {
  /** Sets the clock to that time, in nanoseconds since 1970, if it is off (`isClockOff`). Failures are only logged. */
  adjust(wanted: bigint): void
}

interface ClockOptions {
  readonly log: Log
  /** Sets CLOCK_REALTIME (`native/index.ts`); throws with `code`. */
  readonly setClock: (seconds: number, nanoseconds: number) => void
}

/** Makes the clock. A failure is logged once per reason: a daemon that may not set the time fails at every call. */
export function createClock({ log, setClock }: ClockOptions): Clock {
  const logged = new Set<string>()
  return {
    adjust: (wanted) => {
      const now = BigInt(Date.now()) * 1_000_000n
      if (!isClockOff(now, wanted)) return
      const milliseconds = Number((wanted - now) / 1_000_000n)
      try {
        setClock(Number(wanted / 1_000_000_000n), Number(wanted % 1_000_000_000n))
        log.info({ milliseconds }, 'the clock was set')
      } catch (error) {
        const errno = errnoOf(error) ?? 'unknown'
        if (logged.has(errno)) return
        logged.add(errno)
        log.error({ errno, milliseconds }, 'the clock could not be set')
      }
    },
  }
}
