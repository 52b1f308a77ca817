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

/**
 * Of the first bytes of a connection of HTTP/1.1, which were put back, leaves a slice only if they are much of a body
 * in chunks. To be called before its parser is made.
 * @returns all of them, for `handOverRest`; undefined: none were taken away.
 */
export function takeRest(socket: Socket, beginning: Buffer): Buffer | undefined {
  // A client that has closed its side already is answered only if all it has said is known before that is read.
  if (!isLongToParse(beginning) || peerLeft(socket)) return undefined
  const bytes: Buffer = socket.read() ?? Buffer.alloc(0)
  socket.unshift(Buffer.from(bytes.subarray(0, SLICE_BYTES)))
  return bytes
}

/** Whether the first bytes of a connection of HTTP/1.1 are more than a slice of a body in chunks. */
export function isLongToParse(beginning: Buffer): boolean {
  if (beginning.length <= SLICE_BYTES) return false
  const headers = beginning.toString('latin1', 0, Math.max(0, beginning.indexOf('\r\n\r\n')))
  // What follows a request for another protocol is not for the parser.
  return CHUNKED.test(headers) && !UPGRADE.test(headers)
}

/**
 * Hands the first bytes of a connection to the parser that it has, but those it has had already: a slice in each turn;
 * meanwhile nothing more is read.
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
    if (socket._paused) return void socket.once('resume', () => loopTurns.queue(socket, next))
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
