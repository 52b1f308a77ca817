import type { ServerResponse } from 'node:http'

/** A response of either HTTP version: over HTTP/2 it is Node's compatible class, which has all that is used here. */
export type RawResponse = ServerResponse

/** After a stream was ended, its client has this long to take what is left; then the connection is given up. */
const LINGER_MS = 60_000

/**
 * Writes frames as the client takes them: the next is asked for only when the last one fits. Returns when all are written
 * or `signal` has aborted; never throws for a client that is gone. The caller ends the response.
 * @param signal aborts when nobody waits for more: the client left, or its stream was ended from the other side.
 */
export async function writeFrames(
  response: RawResponse,
  frames: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  for await (const frame of frames) {
    if (response.destroyed) return
    if (!response.write(frame)) await drained(response, signal)
  }
}

/** Writes the last frame and ends the response; a client that never takes it loses its connection after a minute. */
export function endWith(response: RawResponse, frame: Uint8Array): void {
  if (response.destroyed) return
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
