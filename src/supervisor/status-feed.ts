import { AppError } from '../errors.ts'
import { WakeUp } from '../lib/wake-up.ts'
import type { Status } from './status.ts'

/** Statuses that wait for a watcher. A restart makes three or four, and there are at most ten in five minutes. */
const MAX_WAITING = 256

/** The statuses that one watcher has not taken yet. */
export interface StatusSubscription {
  /**
   * The next status, or undefined after `quiet` milliseconds without one. Rejects with the signal's reason when that
   * aborts, with `resource_exhausted` when the watcher was too slow. One call at a time.
   */
  next(quiet: number, signal: AbortSignal): Promise<Status | undefined>
  /** Ends the subscription. Idempotent. */
  close(): void
}

/** Sends every status to all subscriptions. */
export class StatusFeed {
  readonly #all = new Set<(status: Status) => void>()

  /** Subscribes to every status from now on. The caller closes it. */
  subscribe(): StatusSubscription {
    const waiting: Status[] = []
    let missed = false
    const news = new WakeUp()
    const put = (status: Status) => {
      if (waiting.length < MAX_WAITING) waiting.push(status)
      else missed = true
      news.wake()
    }
    this.#all.add(put)
    const next = async (quiet: number, signal: AbortSignal) => {
      signal.throwIfAborted()
      if (waiting.length === 0 && !missed) await news.wait(quiet, signal)
      if (waiting.length === 0 && missed)
        throw new AppError('resource_exhausted', 'the stream was ended because it fell too far behind')
      return waiting.shift()
    }
    return { next, close: () => this.#all.delete(put) }
  }

  /** Hands a status to every subscription. */
  publish(status: Status): void {
    for (const put of this.#all) put(status)
  }
}
