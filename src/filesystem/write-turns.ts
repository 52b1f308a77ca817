/**
 * Calls that change a filesystem at the same time. Each may hold its thread of the pool, which has 16 (`scripts/envd`), until a frozen
 * filesystem thaws or a server of a network mount comes back; with the rest everything that only reads goes on.
 */
const MAX_WRITING = 12

let writing = 0
const waiting: (() => void)[] = []

/**
 * Does one call, or a few in a row, that change a filesystem, when it is their turn. Settles as `work` does. Must not be used
 * within itself: all turns could wait for one more.
 */
export async function inWriteTurn<T>(work: () => Promise<T>): Promise<T> {
  if (writing < MAX_WRITING) writing++
  else await new Promise<void>((resolve) => waiting.push(resolve))
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    // Whoever waits takes over this turn.
    if (next === undefined) writing--
    else next()
  }
}
