import { setTimeout as delay } from 'node:timers/promises'
import { isPassing } from './failure.ts'

/** Attempts in a row without anything new, and the waits between them. */
const MAX_ATTEMPTS = 5
const FIRST_WAIT_MS = 250
const LONGEST_WAIT_MS = 5_000

interface ReopenOptions {
  /** Whether the stream may be opened anew now; undefined: always. */
  readonly mayReopen?: () => boolean
  /** Attempts in a row without an item. */
  readonly attempts?: number
}

/**
 * The items of a stream that is opened anew after a cut: `open` goes on where the last one stood. Ends as a stream
 * ends. Throws its Failure if that is not a lost connection or `unavailable`, or when no attempt has brought an
 * item.
 */
export async function* reopened<T>(
  open: () => AsyncGenerator<T, void>,
  { mayReopen = () => true, attempts = MAX_ATTEMPTS }: ReopenOptions = {},
): AsyncGenerator<T, void> {
  let failures = 0
  for (;;) {
    try {
      for await (const item of open()) {
        failures = 0
        yield item
      }
      return
    } catch (error) {
      failures += 1
      if (!isPassing(error) || !mayReopen() || failures > attempts) throw error
      await delay(Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)))
    }
  }
}

/** The answer of a call that may be made again after a cut. Throws Failure as `reopened`. */
export async function repeated<T>(call: () => Promise<T>): Promise<T> {
  const once = async function* () {
    yield await call()
  }
  for await (const answer of reopened(once)) return answer
  throw new Error('a call has an answer')
}
