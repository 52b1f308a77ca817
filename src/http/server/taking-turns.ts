import type { Socket } from 'node:net'
import { descriptorOf } from '../../lib/descriptor.ts'
import { loopTurns } from '../../lib/turns.ts'
import { beginning as peek } from '../../native/accept.ts'
import { beginsUrgent, URGENT_BYTES } from './entrance.ts'
import { handOverRest, isLongToParse, takeRest } from './first-slices.ts'
import type { Protocol } from './protocol.ts'
import { pauseReading, unpauseReading } from './reading.ts'
import type { WaitingBodies } from './waiting-bodies.ts'

/**
 * Of the first bytes of connections that wait to be parsed: some hundred that bring as much as is read at once. Beyond
 * it nothing more is read of those that have said nothing yet; what comes all the same, and goes beyond twice as much,
 * is refused.
 */
const MAX_BEGINNINGS = 8 * 1024 * 1024

/** What a connection that waits takes beside its first bytes, at least. */
const BEGINNING_BYTES = 1024

/** First bytes of HTTP/2 after which a connection is not taken at once: parsing 64 KiB may take ten milliseconds. */
const LARGE_BEGINNING = 4096

/** Behind the headers of a request that is answered at once there is the body of a signal at most, or few requests. */
const REST_BYTES = 256

/** Connections that are held back and looked at in one turn of the event loop, some 2 µs each. */
const MAX_LOOKED_AT = 512

interface TakingOptions {
  /** Serves a connection; its first bytes are put back. */
  take(socket: Socket, protocol: Protocol): void
  /** Connections that were not taken yet. */
  readonly undecided: Set<Socket>
  readonly bodies: Pick<WaitingBodies, 'count'>
}

/**
 * Takes connections in turn: a session of HTTP/2 takes half a millisecond, and hundreds of requests, or thousands of
 * pieces of a body, that come at once some more to parse. Those that begin with what is answered at once and bring
 * little more are taken at once.
 * @returns to be called for each connection whose first bytes have come, and are put back.
 */
export function createTakingTurns({ take, undecided, bodies }: TakingOptions) {
  let waiting = 0
  const hold = holdBack(undecided, () => waiting > MAX_BEGINNINGS / 2)
  return (socket: Socket, protocol: Protocol, beginning: Buffer) => {
    if (beginsUrgent(beginning) && isAlone(beginning)) return take(socket, protocol)
    const bytes = Math.max(beginning.length, BEGINNING_BYTES)
    if (waiting + bytes > 2 * MAX_BEGINNINGS) return void socket.destroy()
    waiting += bytes
    if (waiting > MAX_BEGINNINGS) hold()
    const taken = bodies.count(bytes)
    const over = () => {
      waiting -= bytes
      taken()
    }
    const isLong = protocol === 'http2' ? bytes > LARGE_BEGINNING : isLongToParse(beginning)
    const takeNow = () => {
      if (socket.destroyed) return over()
      const rest = isLong && protocol === 'http1' ? takeRest(socket) : undefined
      take(socket, protocol)
      if (rest === undefined) over()
      else handOverRest(socket, rest, over)
    }
    if (isLong) loopTurns.queue({}, takeNow)
    else loopTurns.run({}, takeNow)
  }
}

/**
 * Reads nothing of connections until there is room, but of those that begin with what is answered at once.
 * @returns to be called when there is none; idempotent.
 */
function holdBack(sockets: Set<Socket>, isFull: () => boolean): () => void {
  const first = Buffer.alloc(URGENT_BYTES)
  const urgent = new WeakSet<Socket>()
  let isHeld = false
  /** In this turn of the event loop. */
  let arePaused = false
  const isUrgent = (socket: Socket) => {
    const descriptor = descriptorOf(socket)
    return descriptor !== undefined && beginsUrgent(first.subarray(0, peek(descriptor, first)))
  }
  const look = () => {
    arePaused = false
    isHeld = isFull()
    if (!isHeld) for (const socket of sockets) unpauseReading(socket)
    if (!isHeld) return
    for (const socket of [...sockets].slice(0, MAX_LOOKED_AT)) {
      // The next turn begins with the others.
      sockets.delete(socket)
      sockets.add(socket)
      if (!isUrgent(socket)) continue
      urgent.add(socket)
      unpauseReading(socket)
    }
    setImmediate(look)
  }
  return () => {
    if (arePaused) return
    arePaused = true
    for (const socket of sockets) if (!urgent.has(socket)) pauseReading(socket)
    if (!isHeld) setImmediate(look)
    isHeld = true
  }
}

function isAlone(beginning: Buffer): boolean {
  const end = beginning.indexOf('\r\n\r\n')
  return end === -1 || beginning.length - end <= REST_BYTES
}
