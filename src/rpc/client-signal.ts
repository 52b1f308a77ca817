import { AppError } from '../errors.ts'
import type { RawResponse } from './stream-writer.ts'

/** Aborts `over` when the client goes before the response is sent, or the daemon stops. Returns what undoes it. */
export function abortWithClient(response: RawResponse, over: AbortController, shutdown: AbortSignal): () => void {
  const onClose = () => over.abort(new AppError('canceled', 'the client has gone'))
  const onShutdown = () => over.abort(shutdown.reason)
  response.on('error', onClose)
  response.once('close', onClose)
  shutdown.addEventListener('abort', onShutdown)
  if (shutdown.aborted) onShutdown()
  if (response.destroyed) onClose()
  return () => {
    response.off('close', onClose)
    shutdown.removeEventListener('abort', onShutdown)
  }
}
