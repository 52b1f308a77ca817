import type { Socket } from 'node:net'
import { freeNow } from '../../budget/memory.ts'
import { loopTurns } from '../../lib/turns.ts'
import { peerLeft } from './peer-left.ts'
import { holdReading, releaseReading } from './reading.ts'

/** What is parsed in one go: a thousand pieces of a byte take a millisecond or two. */
const SLICE_BYTES = 4096

const CHUNKED = /^transfer-encoding:/im
const UPGRADE = /^upgrade:/im

/** What Node has to say of a connection; missing in its types. */
interface Parsed {
  /** Null once the connection belongs to no parser any more. */
  readonly parser?: object | null
  /** Answers wait for their client, and nothing is to be parsed before they are out. */
  readonly _paused?: boolean
}

/** Whether the first bytes of a connection of HTTP/1.1 are more than a slice of a body in chunks. */
export function isLongToParse(beginning: Buffer): boolean {
  if (beginning.length <= SLICE_BYTES) return false
  const headers = beginning.toString('latin1', 0, Math.max(0, beginning.indexOf('\r\n\r\n')))
  // What follows a request for another protocol is not for the parser.
  return CHUNKED.test(headers) && !UPGRADE.test(headers)
}

/**
 * Of the first bytes of such a connection, which were put back, leaves a slice only. To be called before its parser is
 * made.
 * @returns all of them, for `handOverRest`; undefined: none were taken away.
 */
export function takeRest(socket: Socket): Buffer | undefined {
  // A client that has closed its side already is answered only if all it has said is known before that is read.
  if (peerLeft(socket)) return undefined
  const bytes: Buffer = socket.read() ?? Buffer.alloc(0)
  // A copy: what the parser has had is freed before the rest is handed over.
  socket.unshift(Buffer.from(bytes.subarray(0, SLICE_BYTES)))
  return bytes
}

/**
 * Hands the first bytes of a connection to the parser that it has, but those it has had already: a slice in each turn;
 * meanwhile nothing more is read. If answers wait for their client, the connection gets the rest at once.
 * @param bytes of `takeRest`; they are freed.
 * @param over is called once, when all are handed over, or the connection is closed.
 */
export function handOverRest(socket: Socket & Parsed, bytes: Buffer, over: () => void): void {
  let at = SLICE_BYTES
  const hold = () => holdReading(socket)
  const end = () => {
    socket.off('resume', hold).off('close', end)
    freeNow(bytes)
    at = bytes.length
    over()
  }
  const next = () => {
    if (at >= bytes.length) return
    // The rest is not what another protocol waits for.
    if (!socket.parser) return void socket.destroy()
    if (socket._paused) {
      // Node parses it when it reads on: nothing is to wait here for a client that takes no answers.
      socket.unshift(Buffer.from(bytes.subarray(at)))
      end()
      return releaseReading(socket)
    }
    const slice = bytes.subarray(at, at + SLICE_BYTES)
    at += SLICE_BYTES
    socket.emit('data', slice)
    if (at < bytes.length) return loopTurns.queue(socket, next)
    if (socket.destroyed) return
    end()
    releaseReading(socket)
  }
  hold()
  // Behind Node's listener, which reads on.
  socket.on('resume', hold).once('close', end)
  loopTurns.queue(socket, next)
}
