import { setTimeout as delay } from 'node:timers/promises'
import { isPassing } from './failure.ts'

/** Attempts in a row that bring no byte, and the waits between them. */
const MAX_ATTEMPTS = 8
const FIRST_WAIT_MS = 250
const LONGEST_WAIT_MS = 5_000

/**
 * Makes attempts until one is through: each goes on where the last one was cut off. Rejects with its Failure if that is
 * not a lost connection, or when no attempt brings anything new, and with the signal's reason.
 * @param reached bytes so far
 */
export async function attempts(once: () => Promise<void>, reached: () => number, signal: AbortSignal): Promise<void> {
  let before = -1
  for (let failures = 0; ; ) {
    try {
      return await once()
    } catch (error) {
      signal.throwIfAborted()
      failures = reached() > before ? 1 : failures + 1
      before = Math.max(before, reached())
      if (!isPassing(error) || failures > MAX_ATTEMPTS) throw error
      await delay(Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)), undefined, { signal })
    }
  }
}
