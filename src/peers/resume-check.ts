import type { Socket } from 'node:net'
import { throttle } from '../lib/throttle.ts'
import type { Log } from '../log.ts'
import { askPeer, receivedSegments, setTcpUserTimeout } from '../native/index.ts'
import { createPeerLiveness } from './liveness.ts'

/** How long sent data may stay unacknowledged where peers cannot be probed: the same time as for those that can. */
const MAX_SILENCE_MS = 120_000

/** Callers of `/init` repeat themselves every few milliseconds until they have an answer. */
const SAMPLE_PAUSE_MS = 250

interface ResumeCheckOptions {
  /** The connections that are open. */
  readonly sockets: () => Iterable<Socket>
  /** Samples the machine once more; a rejection is ignored, as the next sample fails in the same way and is logged. */
  readonly sample: () => Promise<void>
  /** `resumed` is called after each resume, as log lines may have been lost with it. */
  readonly logs: { readonly log: Log; resumed(): void }
  /** Stops the routine probes. */
  readonly signal: AbortSignal
}

/**
 * Returns the function to call after each initialization: the machine may have been paused or restored elsewhere, so
 * peers may be gone without notice and metrics stale. It never blocks. Until the signal aborts, peers are also probed
 * once a minute.
 */
export function createResumeCheck({ sockets, sample, logs, signal }: ResumeCheckOptions): () => void {
  const limitSilence = (fd: number) => setTcpUserTimeout(fd, MAX_SILENCE_MS)
  const liveness = createPeerLiveness({
    peers: { askPeer, receivedSegments, limitSilence },
    log: logs.log,
    signal,
    sockets,
  })
  const resample = throttle(() => void sample().catch(() => {}), SAMPLE_PAUSE_MS)
  return () => {
    liveness.resumed()
    resample()
    logs.resumed()
  }
}
