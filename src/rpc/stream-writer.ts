import type { ServerResponse } from 'node:http'
import type { StreamFrames } from '../budget/unread-frames.ts'
import { loopTurns } from '../lib/turns.ts'

/** A response of either HTTP version: over HTTP/2 it is Node's compatible class, which has all that is used here. */
export type RawResponse = ServerResponse

interface WriteOptions {
  /**
   * A signal that aborts when no more is to be written: the client left, or its stream was ended from the other side.
   * Asked for only when something has to wait.
   */
  readonly signal: () => AbortSignal
  /** The kernel has the frame; its memory may be written again. Not called for frames that were never sent. */
  readonly sent?: ((frame: Uint8Array) => void) | undefined
  /** Grows by the bytes of each frame. */
  readonly tally: { bytes: number }
  /** Counts what waits for the client. */
  readonly unread: StreamFrames
}

/** After a stream was ended, its client has this long to take what is left; then the connection is given up. */
const LINGER_MS = 60_000

/**
 * Writes frames as the client takes them: the next is asked for only when the last one fits. Returns when all are
 * written or the signal has aborted; never throws for a client that is gone. Rejects as `StreamFrames.add`. The caller
 * ends the response.
 */
export async function writeFrames(
  response: RawResponse,
  frames: AsyncIterable<Uint8Array>,
  options: WriteOptions,
): Promise<void> {
  const { signal, sent, tally, unread } = options
  for await (const frame of frames) {
    if (response.destroyed || response.writableEnded) return
    unread.add(frame)
    tally.bytes += frame.length
    const fits = response.write(frame, (error) => {
      unread.taken(frame)
      if (!error) sent?.(frame)
    })
    if (!fits) await drained(response, signal())
    const turn = loopTurns.turn(response)
    if (turn !== undefined) await turn
  }
}

/** Writes the last frame and ends the response; a client that never takes it loses its connection after a minute. */
export function endWith(response: RawResponse, frame: Uint8Array): void {
  if (response.destroyed || response.writableEnded) return
  const timer = setTimeout(() => response.destroy(), LINGER_MS)
  timer.unref()
  response.once('close', () => clearTimeout(timer))
  response.end(frame)
}

/** Resolves when the response takes more, is gone, or `signal` aborts. */
function drained(response: RawResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      response.off('drain', settle)
      response.off('close', settle)
      signal.removeEventListener('abort', settle)
      resolve()
    }
    response.on('drain', settle)
    response.on('close', settle)
    signal.addEventListener('abort', settle)
    if (signal.aborted || response.destroyed) settle()
  })
}
