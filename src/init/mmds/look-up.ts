import { watchEventLoopDelay } from '../../lib/event-loop-delay.ts'
import { withTimeout } from '../../lib/with-timeout.ts'
import type { MmdsOptions } from './options.ts'
import type { Reads } from './reads.ts'

interface LookUpOptions {
  readonly reads: Reads
  /** Makes the service reachable again as far as that is in the guest's hands (contract G20). Never rejects. */
  readonly repair: () => Promise<void>
  readonly signal: AbortSignal
  /** Milliseconds of silence after which the way is repaired while the first look goes on; default 500. */
  readonly timeout?: number
  /** Milliseconds that the event loop may be late for the silence to be blamed on the way; default 50. */
  readonly maxLateness?: number
}

/** A service of the host answers within 2 ms; half a second means that something in the guest is in between. */
const TIMEOUT_MS = 500

/**
 * A daemon that gets the processor so much too late has itself to blame for the silence; the repair's programs would
 * take what little it gets.
 */
const MAX_LATENESS_MS = 50

/**
 * Makes the look-up of contract F9: asks the metadata service, if need be a second time after a repair. It resolves
 * with undefined when neither was answered, and never rejects. Nothing is repaired while the event loop itself is late.
 * Calls that overlap share repair and looks.
 */
export function createLookUp(options: LookUpOptions): () => Promise<MmdsOptions | undefined> {
  const { reads, repair, signal, timeout = TIMEOUT_MS, maxLateness = MAX_LATENESS_MS } = options
  const attempt = async (first: Promise<MmdsOptions>) => {
    const lateness = watchEventLoopDelay()
    const found = await withTimeout(timeout, first, signal)
    const late = lateness.stop() > maxLateness
    if (found !== undefined) return found
    if (!late) await repair()
    // What was begun before the repair may hang for a while yet.
    return reads.next(0)
  }
  let running: Promise<MmdsOptions> | undefined
  return async () => {
    const look = reads.next()
    running ??= attempt(look).finally(() => {
      running = undefined
    })
    return Promise.any([look, running]).catch(() => undefined)
  }
}
