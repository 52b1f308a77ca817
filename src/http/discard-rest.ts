import type { Readable } from 'node:stream'
import { pump } from '../lib/pump.ts'

/** Past this the connection is dropped: a client that sends more after its answer does not listen. */
const MAX_BYTES = 256 * 1024 * 1024
const IDLE_MS = 5_000

/**
 * Reads and forgets what is left of a request body that was answered early, so that its client, still sending, gets to read the
 * answer, and the connection can serve the next request. Drops the connection when there is too much.
 */
export function discardRest(body: Readable): void {
  if (body.readableEnded || body.destroyed) return
  let left = MAX_BYTES
  const sink = {
    write: (chunk: Buffer) => {
      left -= chunk.length
      return left < 0 ? Promise.reject(new Error('too much')) : undefined
    },
    end: () => Promise.resolve(),
  }
  pump(body, sink, { idleMs: IDLE_MS }).catch(() => body.destroy())
}
