import type { Readable } from 'node:stream'

/** Below this a piece is joined with its neighbours. */
const SMALL_BYTES = 512

/** What is joined at most. */
const JOINED_BYTES = 4096

/** Pieces of one body in one turn of the event loop that make it a busy one: to parse them takes some milliseconds. */
const MANY_PIECES = 1024

/** Of them, those after which `onSome` is called: to parse them takes a tenth of a millisecond. */
const SOME_PIECES = 64

/** Busy bodies that go on in one turn. */
const AT_ONCE = 1

/** Those that wait to go on. */
const busy = new Set<() => void>()

function goOn(): void {
  let left = AT_ONCE
  for (const flush of busy) {
    if (left-- === 0) break
    busy.delete(flush)
    flush()
  }
  if (busy.size > 0) setImmediate(goOn)
}

/**
 * A piece in memory that is for the most part its own: frames of HTTP/2 are views of all that one read of their
 * connection has brought.
 */
function ofItsOwn(piece: Buffer): Buffer {
  if (piece.length * 2 > piece.buffer.byteLength) return piece
  const copy = Buffer.allocUnsafeSlow(piece.length)
  piece.copy(copy)
  return copy
}

/**
 * Joins small pieces of a body that come in the same turn of the event loop, such as chunks and frames of a byte. Each
 * piece that waits to be read takes some 300 bytes beside its content, and the length of what waits, by which
 * back-pressure works, counts the content only. Larger ones do not keep what came with them. Bodies that have very many
 * go on in turn. To be called before the first piece comes.
 * @param onMany is called when very many have come in one turn, `onSome` for every few.
 */
export function joinPieces(body: Readable, { onMany = () => {}, onSome = () => {} } = {}): void {
  const push = body.push
  const limit = body.readableHighWaterMark
  let joined: Buffer | undefined
  let length = 0
  /** In this turn of the event loop. */
  let pieces = 0
  let hasRoom = true
  const flush = () => {
    if (joined === undefined || length === 0) return
    const piece = Buffer.allocUnsafeSlow(length)
    joined.copy(piece, 0, 0, length)
    joined = undefined
    length = 0
    hasRoom = push.call(body, piece)
  }
  const endTurn = () => {
    const many = pieces > MANY_PIECES
    pieces = 0
    if (!many) return flush()
    onMany()
    if (busy.size === 0) setImmediate(goOn)
    busy.add(flush)
  }
  const begin = () => {
    hasRoom = body.readableLength + JOINED_BYTES < limit
    return Buffer.allocUnsafeSlow(JOINED_BYTES)
  }
  // Before those look who begin now to count what one turn of the event loop brings.
  setImmediate(() => {
    if (pieces <= MANY_PIECES) flush()
  })
  body.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    if (chunk === null || chunk.length >= SMALL_BYTES) {
      flush()
      return push.call(body, chunk && ofItsOwn(chunk), encoding)
    }
    if (length + chunk.length > JOINED_BYTES) flush()
    joined ??= begin()
    if (pieces++ === 0) setImmediate(endTurn)
    if (pieces % SOME_PIECES === 0) onSome()
    // Most have a few bytes, for which a loop is faster than to copy.
    for (let i = 0; i < chunk.length; i++) joined[length + i] = chunk[i] ?? 0
    length += chunk.length
    // What is left of this turn's pieces is handed over later, and reading goes on then.
    return hasRoom && pieces <= MANY_PIECES
  }
}
