import type { Socket } from 'node:net'
import { hasLeft, peerLeft } from './peer-left.ts'

/** How a connection of an initialization begins. Others come later on one that is kept, and wait for nothing. */
const BEGINNING = Buffer.from('POST /init ')

/**
 * Turns of the event loop in which one attempt after the other is waited for: as many as wait to be accepted, after a
 * halt.
 */
const MAX_DELAYS = 100

/** Connections after which no other is let in, and after which the oldest with much of its body is dropped: 8 MiB. */
const CROWDED = 32
const MAX_WAITING = 128

/** Read ahead of such a body; variables and a token take less, and their connections are never dropped. */
const MUCH_BYTES = 16 * 1024

/** Connections whose first request is `POST /init`, waiting to be served. */
interface InitTurns {
  /**
   * Takes note of a new connection, by its descriptor. Whether it needs no look at all: it begins so, and its client
   * has given up.
   */
  isAbandoned(descriptor: number | undefined): boolean
  /** Whether so many wait that others are to be left unread. */
  initsWait(): boolean
  /** Lets a connection wait for its turn. */
  add(socket: Socket): void
}

/** Whether the first bytes of a connection are those of an initialization. */
export function beginsInit(bytes: Buffer): boolean {
  return bytes.length >= BEGINNING.length && bytes.compare(BEGINNING, 0, BEGINNING.length, 0, BEGINNING.length) === 0
}

/**
 * Serves one waiting connection in each turn of the event loop, the newest first, and drops those whose client has
 * given up. A caller who repeats himself every few milliseconds is so answered by a daemon that gets too little of the
 * processor to answer each attempt; in the order of their coming, all of them would be too old when their turn comes.
 */
export function createInitTurns(serve: (socket: Socket) => void): InitTurns {
  const waiting: Socket[] = []
  let accepted = false
  let delays = 0
  const next = () => {
    // Node accepts few connections per turn: a newer attempt may be the next.
    if (accepted && ++delays <= MAX_DELAYS) {
      accepted = false
      setImmediate(next)
      return
    }
    delays = 0
    for (let socket = waiting.pop(); socket !== undefined; socket = waiting.pop()) {
      if (peerLeft(socket)) {
        socket.destroy()
        continue
      }
      serve(socket)
      break
    }
    if (waiting.length > 0) setImmediate(next)
  }
  return {
    isAbandoned: (descriptor) => {
      accepted = true
      return hasLeft(descriptor, BEGINNING) ?? false
    },
    initsWait: () => waiting.length >= CROWDED,
    add: (socket) => {
      if (waiting.length >= MAX_WAITING) dropOne(waiting)
      if (waiting.push(socket) === 1) setImmediate(next)
    },
  }
}

function dropOne(waiting: Socket[]): void {
  const index = waiting.findIndex(({ readableLength }) => readableLength > MUCH_BYTES)
  if (index >= 0) waiting.splice(index, 1)[0]?.destroy()
}
