import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'

/** Node reads so much of a connection at once, and so much of a body waits with its request. */
const PIECE_BYTES = 64 * 1024

/**
 * Bytes after which no new connection is let in until some requests have had their turn, and after which the next
 * request is refused. Strangers can hold them.
 */
const CROWDED_BYTES = 8 * 1024 * 1024
const MAX_BYTES = 24 * 1024 * 1024

/** Of what waits for room, in one turn of the event loop: some 60 µs each. */
const AT_ONCE = 16

/** The beginnings of bodies that came with requests which wait for their turn, in sum. */
export interface WaitingBodies {
  /**
   * Counts the body of a request whose headers have just come.
   * @returns what to call once when it waits no longer; undefined: there are too many, the request is to be refused.
   */
  add(request: IncomingMessage | Http2ServerRequest): (() => void) | undefined
  /** Runs it as soon as there are few enough, at once if so; in the order of the calls. */
  whenRoom(run: () => void): void
}

/** @param always bytes of a body that is never refused. */
export function createWaitingBodies(always = 0): WaitingBodies {
  let bytes = 0
  const waiting = new Set<() => void>()
  let scheduled = false
  const schedule = () => {
    if (scheduled || waiting.size === 0 || bytes > CROWDED_BYTES) return
    scheduled = true
    setImmediate(runSome)
  }
  const runSome = () => {
    scheduled = false
    let left = AT_ONCE
    for (const run of waiting) {
      if (left-- === 0) break
      waiting.delete(run)
      run()
    }
    schedule()
  }
  return {
    add: (request) => {
      let own = pieceOf(request)
      if (own > always && bytes + own > MAX_BYTES) return undefined
      bytes += own
      let over = false
      const count = (waiting: number) => {
        if (over) return
        bytes += waiting - own
        own = waiting
        schedule()
      }
      const recount = () => count(Math.min(PIECE_BYTES, request.readableLength))
      if (own > 0) {
        // The parser hands over what has come with the headers in the same tick, and chunks in ticks of their own.
        process.nextTick(recount)
        setImmediate(recount)
      }
      return () => {
        count(0)
        over = true
      }
    },
    whenRoom: (run) => {
      if (bytes <= CROWDED_BYTES && waiting.size === 0) run()
      else waiting.add(run)
    },
  }
}

/** What of a body may have come with its headers; the windows of HTTP/2 are counted elsewhere. */
function pieceOf({ httpVersionMajor, headers }: IncomingMessage | Http2ServerRequest): number {
  if (httpVersionMajor !== 1) return 0
  if (headers['transfer-encoding'] !== undefined) return PIECE_BYTES
  return Math.min(Number(headers['content-length'] ?? 0) || 0, PIECE_BYTES)
}
