import type { Socket } from 'node:net'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { descriptorOf } from '../lib/descriptor.ts'
import type { Log } from '../log.ts'

/** What the kernel tells of the other end of a connection, by descriptor (`native/index.ts`); all throw with `code`. */
export interface Peers {
  receivedSegments(fd: number): number
  askPeer(fd: number): void
  /** Lets the kernel limit how long data may stay unacknowledged. */
  limitSilence(fd: number): void
}

/** Questions before a silent peer counts as gone: a daemon that was stalled itself has not waited for an answer. */
const MIN_QUESTIONS = 4

/** Connections that are asked in one turn of the event loop, which takes about a millisecond. */
const TURN = 64

/** Connections whose peers may be gone. */
export interface Suspects {
  /**
   * Doubts these connections, as after the machine was restored from a snapshot: each whose peer sends nothing for `proofTime`, not
   * even an acknowledgement that it was asked for, is reset. A peer that does not read is there, as its kernel answers. Returns at once,
   * and costs little when it is repeated: a doubt counts from its beginning.
   */
  add(sockets: Iterable<Socket>): void
}

interface Doubt {
  readonly since: number
  /** How many segments had come when it began. */
  readonly segments: number
  questions: number
}

/** What `createSuspects` needs. */
export interface SuspectsOptions {
  readonly peers: Peers
  readonly log: Log
  /** Ends the questions; doubts are forgotten. */
  readonly signal: AbortSignal
  /** Milliseconds in which a peer must show that it is still there. */
  readonly proofTime: number
  /** Milliseconds between questions. Peers answer at most two in a second. */
  readonly askInterval: number
}

/** Makes an empty set of suspects. */
export function createSuspects({ peers, log, signal, proofTime, askInterval }: SuspectsOptions): Suspects {
  const doubts = new Map<Socket, Doubt | undefined>()
  let asking = false

  /** Gives true for a peer that is gone. */
  const ask = (socket: Socket, doubt: Doubt | undefined): boolean => {
    const fd = descriptorOf(socket)
    const segments = fd === undefined ? undefined : segmentsOf(fd, peers)
    if (fd === undefined || segments === undefined || (doubt !== undefined && doubt.segments !== segments)) {
      doubts.delete(socket)
      return false
    }
    const now = performance.now()
    const current = doubt ?? { since: now, segments, questions: 0 }
    if (now - current.since >= proofTime && current.questions >= MIN_QUESTIONS) {
      doubts.delete(socket)
      return true
    }
    try {
      peers.askPeer(fd)
      current.questions++
      doubts.set(socket, current)
    } catch {
      // The kernel's limit ends a peer that is there and does not read as well, so it stands in only where nobody can be asked.
      doubts.delete(socket)
      limit(fd, peers)
    }
    return false
  }

  const askAll = async () => {
    let gone = 0
    let turn = 0
    for (const [socket, doubt] of [...doubts]) {
      if (ask(socket, doubt)) {
        gone++
        socket.resetAndDestroy()
      }
      if (++turn % TURN === 0) await setImmediate(undefined, { signal })
    }
    if (gone > 0) log.info({ connections: gone }, 'connections whose peers are gone were reset')
  }

  const run = async () => {
    try {
      await setImmediate(undefined, { signal })
      while (doubts.size > 0) {
        await askAll()
        await setTimeout(askInterval, undefined, { signal, ref: false })
      }
    } catch (error) {
      if (!signal.aborted) throw error
      doubts.clear()
    } finally {
      asking = false
    }
  }

  return {
    add: (sockets) => {
      for (const socket of sockets) if (!doubts.has(socket)) doubts.set(socket, undefined)
      if (asking || doubts.size === 0 || signal.aborted) return
      asking = true
      void run()
    },
  }
}

function segmentsOf(fd: number, peers: Peers): number | undefined {
  try {
    return peers.receivedSegments(fd)
  } catch {
    return undefined
  }
}

function limit(fd: number, peers: Peers): void {
  try {
    peers.limitSilence(fd)
  } catch {}
}
