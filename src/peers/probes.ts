import type { Socket } from 'node:net'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { descriptorOf } from '../lib/descriptor.ts'
import type { Log } from '../log.ts'

/** Kernel calls about the peer of a connection, by descriptor (`native/index.ts`); all throw with `code`. */
export interface PeerCalls {
  receivedSegments(fd: number): number
  askPeer(fd: number): void
  /** Lets the kernel limit how long data may stay unacknowledged. */
  limitSilence(fd: number): void
}

/**
 * Questions sent before a silent peer counts as gone, since a daemon that was stalled itself did not wait for answers.
 */
const MIN_QUESTIONS = 4

/** Connections asked per iteration of the event loop: about a millisecond. */
const BATCH = 64

/** Tests whether the peers of connections are still there. */
interface PeerProbes {
  /**
   * Starts a probe of each of these connections. One whose peer sends nothing for `proofTime`, not even a requested
   * acknowledgement, is reset; a peer that only does not read answers through its kernel. Returns at once. A connection
   * with a running probe keeps it.
   */
  add(sockets: Iterable<Socket>): void
}

interface Probe {
  readonly since: number
  /** Segments received when the probe began. */
  readonly segments: number
  questions: number
}

interface PeerProbesOptions {
  readonly peers: PeerCalls
  readonly log: Log
  /** Stops all probes. */
  readonly signal: AbortSignal
  /** Milliseconds in which a peer must show that it is still there. */
  readonly proofTime: number
  /** Milliseconds between questions. Peers answer at most two in a second. */
  readonly askInterval: number
}

/** Makes the probes; none runs before `add`. */
export function createPeerProbes(options: PeerProbesOptions): PeerProbes {
  return new Probes(options)
}

class Probes implements PeerProbes {
  readonly #options: PeerProbesOptions
  readonly #probes = new Map<Socket, Probe | undefined>()
  #asking = false

  constructor(options: PeerProbesOptions) {
    this.#options = options
  }

  add(sockets: Iterable<Socket>): void {
    for (const socket of sockets) if (!this.#probes.has(socket)) this.#probes.set(socket, undefined)
    if (this.#asking || this.#probes.size === 0 || this.#options.signal.aborted) return
    this.#asking = true
    void this.#run()
  }

  async #run(): Promise<void> {
    const { signal, askInterval } = this.#options
    try {
      await setImmediate(undefined, { signal })
      while (this.#probes.size > 0) {
        await this.#askAll()
        await setTimeout(askInterval, undefined, { signal, ref: false })
      }
    } catch (error) {
      if (!signal.aborted) throw error
      this.#probes.clear()
    } finally {
      this.#asking = false
    }
  }

  async #askAll(): Promise<void> {
    const { log, signal } = this.#options
    let gone = 0
    let asked = 0
    for (const [socket, probe] of [...this.#probes]) {
      if (this.#ask(socket, probe)) {
        gone++
        socket.resetAndDestroy()
      }
      if (++asked % BATCH === 0) await setImmediate(undefined, { signal })
    }
    if (gone > 0) log.info({ connections: gone }, 'connections whose peers are gone were reset')
  }

  /** Returns true if the peer is gone. */
  #ask(socket: Socket, probe: Probe | undefined): boolean {
    const { peers, proofTime } = this.#options
    const fd = descriptorOf(socket)
    const segments = fd === undefined ? undefined : segmentsOf(fd, peers)
    if (fd === undefined || segments === undefined || (probe !== undefined && probe.segments !== segments)) {
      this.#probes.delete(socket)
      return false
    }
    const now = performance.now()
    const current = probe ?? { since: now, segments, questions: 0 }
    if (now - current.since >= proofTime && current.questions >= MIN_QUESTIONS) {
      this.#probes.delete(socket)
      return true
    }
    try {
      peers.askPeer(fd)
      current.questions++
      this.#probes.set(socket, current)
    } catch {
      // The kernel's limit also resets peers that are there and do not read, so it is only the fallback.
      this.#probes.delete(socket)
      limit(fd, peers)
    }
    return false
  }
}

function segmentsOf(fd: number, peers: PeerCalls): number | undefined {
  try {
    return peers.receivedSegments(fd)
  } catch {
    return undefined
  }
}

function limit(fd: number, peers: PeerCalls): void {
  try {
    peers.limitSilence(fd)
  } catch {}
}
