import { WakeUp } from '../../lib/wake-up.ts'
import { withTimeout } from '../../lib/with-timeout.ts'
import type { MmdsOptions } from './options.ts'

/** Asks the metadata service again and again until it answers. */
interface Poller {
  /** Asks until the first success, however long that takes (contract G11). */
  untilFound(): void
  /** Asks quickly from now on, and for a minute at least (contract F21). */
  hurry(): void
}

interface PollerOptions {
  readonly read: () => Promise<MmdsOptions>
  /** Takes what was found; never rejects. */
  readonly found: (options: MmdsOptions) => Promise<void>
  /** A minute of quick questions had no answer; it goes on slowly if `endless`, else not at all. */
  readonly missed: (endless: boolean) => void
  readonly signal: AbortSignal
  readonly pace?: Pace
}

/** Milliseconds. */
export interface Pace {
  /** Between quick questions. */
  readonly quick: number
  /** Between slow ones, and what one of either may take before the next. */
  readonly slow: number
  /** How long the quick ones last. */
  readonly quickFor: number
}

/**
 * A refused question costs a millisecond of processor time: without any service, quick ones would take 2 % of a core
 * for ever.
 */
const PACE: Pace = { quick: 50, slow: 1_000, quickFor: 60_000 }

/** Makes a poller that does not ask yet. Its timers do not keep the process alive. */
export function createPoller({ read, found, missed, signal, pace = PACE }: PollerOptions): Poller {
  let endless = false
  let running = false
  let quickUntil = 0
  const hurried = new WakeUp()

  const ask = async () => {
    let slow = false
    for (;;) {
      const options = await withTimeout(pace.slow, read(), signal)
      if (options !== undefined || signal.aborted) return options
      const late = performance.now() >= quickUntil
      if (late && !slow) missed(endless)
      if (late && !endless) return undefined
      slow = late
      await hurried.wait(slow ? pace.slow : pace.quick, signal).catch(() => {})
    }
  }
  const run = async () => {
    running = true
    const options = await ask()
    running = false
    if (options === undefined) return
    endless = false
    await found(options)
  }
  const hurry = () => {
    quickUntil = performance.now() + pace.quickFor
    hurried.wake()
    if (!running && !signal.aborted) void run()
  }
  return {
    untilFound: () => {
      endless = true
      hurry()
    },
    hurry,
  }
}
