import type { Socket } from 'node:net'
import type { Log } from '../log.ts'
import { createPeerProbes, type PeerCalls } from './probes.ts'

/** After a resume no peer of before may be there: 2 s, in which one that is there is asked five times. */
const RESUMED = { proofTime: 2_000, askInterval: 400 }

/**
 * At other times a network that is gone for a minute must not cost a connection, nor a peer that vanished hold one for
 * the kernel's quarter of an hour.
 */
const ALWAYS = { proofTime: 120_000, askInterval: 30_000 }

/** Milliseconds between routine probes: cheap, and the time above counts from here. */
const ROUND = 60_000

/** Finds connections whose peers are gone, and resets them. */
interface PeerLiveness {
  /**
   * Call when the machine may have been restored from a snapshot: probes every connection. Returns at once; may be
   * repeated.
   */
  resumed(): void
}

interface PeerLivenessOptions {
  readonly peers: PeerCalls
  readonly log: Log
  /** Stops the checks. */
  readonly signal: AbortSignal
  /** The connections that are open. */
  readonly sockets: () => Iterable<Socket>
}

/** From now on all connections are probed once a minute. */
export function createPeerLiveness({ sockets, ...needs }: PeerLivenessOptions): PeerLiveness {
  const hasty = createPeerProbes({ ...needs, ...RESUMED })
  const patient = createPeerProbes({ ...needs, ...ALWAYS })
  const rounds = setInterval(() => patient.add(sockets()), ROUND).unref()
  needs.signal.addEventListener('abort', () => clearInterval(rounds), { once: true })
  return { resumed: () => hasty.add(sockets()) }
}
