import type { Hold } from '../budget/budget.ts'
import { freeNow } from '../budget/memory.ts'
import type { Sink } from '../lib/pump.ts'
import { writePieces } from '../native/file-calls.ts'

/** Bytes and chunks that wait while a write is under way. 1 MiB keeps the disk busy; the number bounds tiny chunks. */
const MAX_QUEUED_BYTES = 1024 * 1024
const MAX_QUEUED_CHUNKS = 1024

/** A file sink, and what it has written so far. */
export interface FileSink extends Sink {
  /** Resolves when no write is under way, also after a failure: before this the descriptor must not be closed. */
  settled(): Promise<void>
}

/**
 * Writes chunks, which must be used no more, to an open file from its current position on, several at once (writev(2)).
 * Failures reject the promise of the next `write` or of `end`. Does not close the file.
 * @param hold counts the chunks that wait; when it has no room, the source waits until they are written. The caller
 * releases it.
 */
export function createFileSink(fd: number, hold: Hold): FileSink {
  let queue: Buffer[] = []
  let queuedBytes = 0
  /** Bytes of these that `hold` counts. */
  let heldBytes = 0
  let writing: Promise<void> | undefined
  let failed: { readonly error: unknown } | undefined
  let room = Promise.withResolvers<void>()

  const drain = async (): Promise<void> => {
    try {
      while (queue.length > 0) {
        const [batch, held] = [queue, heldBytes]
        queue = []
        queuedBytes = heldBytes = 0
        room.resolve()
        room = Promise.withResolvers<void>()
        await writePieces(fd, batch, null)
        // Left to the garbage collector, some 70 MB of written chunks pile up in a fast upload, at half the speed.
        for (const chunk of batch) freeNow(chunk)
        hold.shrink(held)
      }
    } catch (error) {
      failed = { error }
      room.promise.catch(() => {})
      room.reject(error)
    }
    writing = undefined
  }
  return {
    write: (chunk) => {
      if (failed !== undefined) return Promise.reject(failed.error)
      queue.push(chunk)
      queuedBytes += chunk.length
      const isCounted = hold.tryGrow(chunk.length)
      if (isCounted) heldBytes += chunk.length
      writing ??= drain()
      if (!isCounted) return room.promise
      return queuedBytes >= MAX_QUEUED_BYTES || queue.length >= MAX_QUEUED_CHUNKS ? room.promise : undefined
    },
    end: async () => {
      await writing
      if (failed !== undefined) throw failed.error
    },
    settled: async () => {
      queue = []
      await writing
    },
  }
}
