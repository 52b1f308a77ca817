import { raceAbort } from '../lib/race-abort.ts'

/**
 * The items until the signal aborts, which ends it without an error; the next item is not waited for then, and what
 * makes them is not stopped. Keeps no item that has passed. Rejects as the items do.
 */
export async function* untilAborted<T>(items: AsyncIterator<T, void>, signal: AbortSignal): AsyncGenerator<T, void> {
  try {
    for (;;) {
      const next = await raceAbort(items.next(), signal)
      if (next.done === true) return
      yield next.value
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}
