/**
 * Concurrent calls by Node that change a filesystem: those of moves to another one. Each may block its thread of the
 * pool, which has 16 (`scripts/launch-options`), until a frozen filesystem thaws or the server of a network mount
 * returns. Six are for the addon, which replaces those of its calls that hang (`src/native/job.cc`), and does all other
 * work on files.
 */
const MAX_WRITING = 8

let writing = 0
const waiting: (() => void)[] = []

/**
 * Runs `work`, which changes a filesystem by functions of Node, once fewer than MAX_WRITING others run; waiters in
 * first-in, first-out order. Settles as `work` does. Must not be nested: it would deadlock.
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
