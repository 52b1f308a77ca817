import { Code, ConnectError } from '@connectrpc/connect'
import type { Connection } from './connection.ts'
import { onUnseen, whenSeen } from './seen.ts'

/** One stream of those that follow each other. */
export interface Attempt {
  /** Aborts when the view is left or out of sight, the daemon is lost, or the stream has been silent for too long. */
  readonly signal: AbortSignal
  /** What the stream must be opened with, so that silence means something. */
  readonly headers: Readonly<Record<string, string>>
  /** To be called for each message. */
  heard(): void
}

/** Seconds between signs of life of a stream that has nothing to say, and how long the page waits for one. */
const KEEPALIVE_S = 10
const SILENCE_MS = 25_000
/** Before the next attempt; a daemon that has just come back needs no longer. */
const PAUSE_MS = 500

/** What another attempt would answer with as well. */
const LASTING: readonly Code[] = [
  Code.InvalidArgument,
  Code.NotFound,
  Code.OutOfRange,
  Code.FailedPrecondition,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.Unimplemented,
]

/**
 * Makes attempts until one resolves with `ended` or the signal aborts; each waits until the daemon answers and
 * the page is in sight. Rejects with the ConnectError of an attempt that another one could not mend.
 */
export async function keepStreaming(
  connection: Connection,
  signal: AbortSignal,
  attempt: (attempt: Attempt) => Promise<'ended' | 'cut'>,
): Promise<void> {
  while (!signal.aborted) {
    await whenSeen(signal)
    try {
      if ((await once(connection, signal, attempt)) === 'ended') return
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof ConnectError && LASTING.includes(error.code)) throw error
    }
    if (signal.aborted) return
    await connection.check()
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    await connection.returned(signal).catch(() => {})
  }
}

async function once(
  connection: Connection,
  signal: AbortSignal,
  attempt: (attempt: Attempt) => Promise<'ended' | 'cut'>,
): Promise<'ended' | 'cut'> {
  const stop = new AbortController()
  const unsubscribe = connection.subscribe((state) => state === 'lost' && stop.abort())
  const watched = onUnseen(() => stop.abort())
  const silent = () => setTimeout(() => stop.abort(), SILENCE_MS)
  let silence = silent()
  const heard = () => {
    clearTimeout(silence)
    silence = silent()
  }
  try {
    const headers = { 'Keepalive-Ping-Interval': `${KEEPALIVE_S}` }
    return await attempt({ signal: AbortSignal.any([signal, stop.signal]), headers, heard })
  } finally {
    clearTimeout(silence)
    unsubscribe()
    watched()
  }
}
