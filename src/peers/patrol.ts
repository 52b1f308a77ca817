import type { Socket } from 'node:net'
import type { Log } from '../log.ts'
import { createSuspects, type Peers } from './suspects.ts'

/** After a resume no peer of before may be there: 2 s, in which one that is there is asked five times. */
const RESUMED = { proofTime: 2_000, askInterval: 400 }

/**
 * At other times a network that is gone for a minute must not cost a connection, nor a peer that vanished hold one for the
 * kernel's quarter of an hour.
 */
const ALWAYS = { proofTime: 120_000, askInterval: 30_000 }

/** Milliseconds between doubts without a reason: cheap, and the time above counts from here. */
const ROUND = 60_000

/** Looks for connections whose peers are gone, and resets them. */
export interface Patrol {
  /** The machine may have been restored from a snapshot: doubts every connection. Returns at once; may be repeated. */
  resumed(): void
}

/** What `createPatrol` needs. */
export interface PatrolOptions {
  readonly peers: Peers
  readonly log: Log
  /** Ends it. */
  readonly signal: AbortSignal
  /** The connections that are open. */
  readonly sockets: () => Iterable<Socket>
}

/** Starts it: from now on all connections are doubted once in a minute. */
export function createPatrol({ sockets, ...needs }: PatrolOptions): Patrol {
  const hasty = createSuspects({ ...needs, ...RESUMED })
  const patient = createSuspects({ ...needs, ...ALWAYS })
  const rounds = setInterval(() => patient.add(sockets()), ROUND).unref()
  needs.signal.addEventListener('abort', () => clearInterval(rounds), { once: true })
  return { resumed: () => hasty.add(sockets()) }
}
