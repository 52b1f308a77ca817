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

/** A request that waits, without its body, and its connection, which would be a mere descriptor otherwise. */
const REQUEST_BYTES = 16 * 1024

/** Of what waits for room, in one turn of the event loop: some 60 µs each. */
const AT_ONCE = 16

/** The requests that wait for their turn, and the beginnings of bodies that came with them, in sum. */
export interface WaitingBodies {
  /**
   * Counts the body of a request whose headers have just come.
   * @returns what to call once when it waits no longer; undefined: there are too many, the request is to be refused.
   */
  add(request: IncomingMessage | Http2ServerRequest): (() => void) | undefined
  /** Counts bytes that wait before there is a request. @returns what to call once when they wait no longer. */
  count(bytes: number): () => void
  /** Runs it as soon as there are few enough, at once if so; in the order of the calls. */
  whenRoom(run: () => void): void
}

/** @param always bytes of a body that is never refused. */
export function createWaitingBodies(always = 0): WaitingBodies {
  let bytes = 0
  let requests = 0
  const door = createDoor(() => bytes + requests * REQUEST_BYTES > CROWDED_BYTES)
  const change = (more: number) => {
    bytes += more
    door.look()
  }
  return {
    whenRoom: door.whenRoom,
    count: (beginning) => {
      change(beginning)
      return () => change(-beginning)
    },
    add: (request) => {
      let own = pieceOf(request)
      if (own > always && bytes + own > MAX_BYTES) return undefined
      bytes += own
      requests++
      let over = false
      const count = (waiting: number) => {
        if (over) return
        change(waiting - own)
        own = waiting
      }
      const recount = () => count(Math.min(PIECE_BYTES, request.readableLength))
      if (own > 0) {
        // The parser hands over what has come with the headers in the same tick, and chunks in ticks of their own.
        process.nextTick(recount)
        setImmediate(recount)
      }
      return () => {
        if (over) return
        requests--
        count(0)
        over = true
      }
    },
  }
}

/** Lets on who waits for room, a few in each turn of the event loop. */
function createDoor(isCrowded: () => boolean) {
  const waiting = new Set<() => void>()
  let scheduled = false
  const look = () => {
    if (scheduled || waiting.size === 0 || isCrowded()) return
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
    look()
  }
  return {
    /** To be called when there may be room again. */
    look,
    whenRoom: (run: () => void) => {
      if (!isCrowded() && waiting.size === 0) run()
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
