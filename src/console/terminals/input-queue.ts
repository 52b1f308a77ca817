/** Bytes that may wait for being sent: what is pasted while the way is slow. */
const MAX_WAITING = 4 * 1024 * 1024

/** Input of a terminal, in its order: one call at a time, with all that has come meanwhile. */
export interface InputQueue {
  /** Returns false when too much waits: the bytes are dropped. */
  add(bytes: Uint8Array): boolean
}

/**
 * Makes a queue. What `send` has refused is not sent again, as it may have arrived; what waits behind it is dropped.
 * @param onFailure takes its error.
 */
export function createInputQueue(
  send: (bytes: Uint8Array) => Promise<void>,
  onFailure: (error: unknown) => void,
): InputQueue {
  let waiting: Uint8Array[] = []
  let size = 0
  let busy = false
  const run = async () => {
    busy = true
    try {
      while (size > 0) {
        const bytes = joined(waiting, size)
        waiting = []
        size = 0
        await send(bytes)
      }
    } catch (error) {
      waiting = []
      size = 0
      onFailure(error)
    } finally {
      busy = false
    }
  }
  return {
    add: (bytes) => {
      if (size + bytes.length > MAX_WAITING) return false
      waiting.push(bytes)
      size += bytes.length
      if (!busy) void run()
      return true
    },
  }
}

function joined(pieces: readonly Uint8Array[], size: number): Uint8Array {
  const all = new Uint8Array(size)
  let offset = 0
  for (const piece of pieces) {
    all.set(piece, offset)
    offset += piece.length
  }
  return all
}
