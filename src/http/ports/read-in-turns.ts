import type { Socket } from 'node:net'
import { loopTurns } from '../../lib/turns.ts'

/** What a parser makes of so many bytes, whatever they are, takes a few milliseconds at most. */
const PIECE_BYTES = 4096

/** A piece that took longer may have thousands of chunks or answers: what follows is handed over in small pieces. */
const COSTLY_MS = 0.5

/**
 * Hands what a socket reads to its listeners in turns of the event loop, and in small pieces where these take long. A
 * parser goes through all of a piece, also after its request was given up. To be called before the first piece comes.
 */
export function readInTurns(socket: Socket): void {
  const { push, _read: read } = socket
  let rest: Buffer | undefined
  let costly = true
  let hasRoom = true
  const next = () => {
    if (rest === undefined || socket.destroyed) return
    let piece = rest
    if (costly && rest.length > PIECE_BYTES) {
      // Of its own, as listeners may free the memory of what they get.
      piece = Buffer.allocUnsafeSlow(PIECE_BYTES)
      rest.copy(piece)
      rest = rest.subarray(PIECE_BYTES)
    } else rest = undefined
    const begun = performance.now()
    hasRoom = push.call(socket, piece)
    costly = performance.now() - begun > COSTLY_MS
    if (rest !== undefined) loopTurns.run(socket, next)
  }
  socket.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    if (chunk === null) return push.call(socket, chunk, encoding)
    rest = chunk
    loopTurns.run(socket, next)
    return rest === undefined && hasRoom
  }
  socket._read = (size) => {
    // It goes on once all that was read is handed over.
    if (rest === undefined) read.call(socket, size)
  }
}
