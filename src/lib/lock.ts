/** One holder at a time, in the order of asking. */
export interface Lock {
  /** Resolves with the function that gives the lock back (idempotent). Rejects with the signal's reason if it aborts first. */
  acquire(signal: AbortSignal): Promise<() => void>
}

/** Makes a free lock. */
export function createLock(): Lock {
  let tail: Promise<void> = Promise.resolve()
  return {
    acquire: async (signal) => {
      signal.throwIfAborted()
      const { promise: released, resolve: release } = Promise.withResolvers<void>()
      const before = tail
      tail = before.then(() => released)
      try {
        await abortable(before, signal)
      } catch (reason) {
        release()
        throw reason
      }
      return release
    },
  }
}

/** Waits for `wait`, which never rejects, or for the signal. */
async function abortable(wait: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([wait, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
