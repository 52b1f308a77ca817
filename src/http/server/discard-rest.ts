import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { freeNow } from '../../budget/memory.ts'
import { pump } from '../../lib/pump.ts'
import { loopTurns } from '../../lib/turns.ts'

/**
 * What is read of a body whose call is answered already: as much as may be on its way in socket buffers, so that a
 * client that still sends gets to the answer. A client that sends more is cut off.
 */
const MAX_BYTES = 8 * 1024 * 1024
const IDLE_MS = 5_000

/** Milliseconds for all of it: a client that sends a byte now and then must not hold the connection. */
const MAX_MS = 15_000

const discarded = new WeakSet<Readable>()

/**
 * Reads and discards what is left of a request body that was answered early, so that its client, still sending, gets to
 * read the answer, and the connection can serve the next request. Drops the connection when there is too much. Calling
 * it again changes nothing.
 */
export function discardRest(body: Readable, maxBytes = MAX_BYTES): void {
  if (body.readableEnded || body.destroyed || isComplete(body) || discarded.has(body)) return
  discarded.add(body)
  let left = maxBytes
  const sink = {
    write: (chunk: Buffer) => {
      left -= chunk.length
      freeNow(chunk)
      return left < 0 ? Promise.reject(new Error('too much')) : loopTurns.turn(body)
    },
    end: () => Promise.resolve(),
  }
  const late = AbortSignal.timeout(MAX_MS)
  pump(body, sink, { idleMs: IDLE_MS, signal: late }).catch(() => body.destroy())
}

/** Nothing more can come; Node discards what was not read. */
function isComplete(body: Readable & Partial<Pick<IncomingMessage, 'complete'>>): boolean {
  return body.complete === true
}
