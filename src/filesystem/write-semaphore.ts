/**
 * Concurrent calls that change a filesystem. Each may block its thread of the pool, which has 16 (`scripts/envd`),
 * until a frozen filesystem thaws or the server of a network mount returns; the remaining threads serve reads.
 */
const MAX_WRITING = 12

let writing = 0
const waiting: (() => void)[] = []

/**
 * Runs `work`, which changes a filesystem, once fewer than MAX_WRITING others run; waiters in first-in, first-out
 * order. Settles as `work` does. Must not be nested: it would deadlock.
 */
export async function withWriteSlot<T>(work: () => Promise<T>): Promise<T> {
  if (writing < MAX_WRITING) writing++
  else await new Promise<void>((resolve) => waiting.push(resolve))
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    // The next waiter takes over this slot.
    if (next === undefined) writing--
    else next()
  }
}
