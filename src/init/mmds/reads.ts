import type { MmdsClient } from './client.ts'
import type { MmdsOptions } from './options.ts'

/** Looks at the metadata service, shared by all who want one at the same time. */
export interface Reads {
  /**
   * The first success among the looks that are under way. One of them was begun at most `maxAge` milliseconds ago
   * (default 250); a new one is begun for that if need be. Rejects with an AggregateError when all of them have failed.
   */
  next(maxAge?: number): Promise<MmdsOptions>
}

/**
 * A caller who comes again every 50 ms must profit from what their earlier calls began, or a slow service would never
 * satisfy him; but a look that is older than this may hang on a connection that a snapshot has cut, so it is not waited
 * for alone. At 10 s for a look some 40 are ever under way.
 */
const JOIN_MS = 250

/** Makes the looks share one another; they live until `signal` aborts. */
export function shareReads(client: MmdsClient, signal: AbortSignal): Reads {
  const begun = new Map<Promise<MmdsOptions>, number>()
  const begin = (now: number) => {
    const look = client.read(signal)
    begun.set(look, now)
    const done = () => begun.delete(look)
    look.then(done, done)
  }
  return {
    next: (maxAge = JOIN_MS) => {
      const now = performance.now()
      if (![...begun.values()].some((start) => now - start < maxAge)) begin(now)
      return Promise.any(begun.keys())
    },
  }
}
