import type { ServerResponse } from 'node:http'
import { AppError } from '../../errors.ts'

/**
 * A signal that aborts with AppError `unavailable` when the connection or stream of an unfinished response is gone: the
 * client has left and will not read the answer. It never aborts after the response was sent.
 */
export function clientGone(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  const abort = () => controller.abort(new AppError('unavailable', 'the client is gone'))
  if (response.destroyed) abort()
  response.once('close', () => {
    // Not whether it is finished: over HTTP/2 that is said of every response that is closed.
    if (!response.writableEnded) abort()
  })
  return controller.signal
}
