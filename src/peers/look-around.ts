import type { Socket } from 'node:net'
import { throttle } from '../lib/throttle.ts'
import type { Log } from '../log.ts'
import { askPeer, receivedSegments, setTcpUserTimeout } from '../native/index.ts'
import { createPatrol } from './patrol.ts'

/** How long sent data may stay unacknowledged where peers cannot be asked: as long as those have that can be. */
const MAX_SILENCE_MS = 120_000

/** Callers of `/init` repeat themselves every few milliseconds until they have an answer. */
const SAMPLE_PAUSE_MS = 250

/** What is to be looked at. */
export interface Surroundings {
  /** The connections that are open. */
  readonly sockets: () => Iterable<Socket>
  /** Takes one more sample of the machine and uses it; a rejection is ignored, as the next sample tells the same. */
  readonly sample: () => Promise<void>
  readonly log: Log
  /** Ends the rounds that are made without being asked for. */
  readonly signal: AbortSignal
}

/**
 * Gives what is to be done after each initialization: the machine may have been paused, or restored elsewhere, so peers may be
 * gone without a sign and figures old. Never blocks. Peers are asked in rounds of their own as well, until the signal aborts.
 */
export function createLookAround({ sockets, sample, log, signal }: Surroundings): () => void {
  const limitSilence = (fd: number) => setTcpUserTimeout(fd, MAX_SILENCE_MS)
  const patrol = createPatrol({ peers: { askPeer, receivedSegments, limitSilence }, log, signal, sockets })
  const resample = throttle(() => void sample().catch(() => {}), SAMPLE_PAUSE_MS)
  return () => {
    patrol.resumed()
    resample()
  }
}
