import { AppError } from '../errors.ts'
import { LinkedList } from '../lib/linked-list.ts'
import type { RawResponse } from './stream-writer.ts'

/**
 * What each open call does when the daemon stops. A signal looks through all of its listeners whenever one comes or
 * goes.
 */
const callsOf = new WeakMap<AbortSignal, LinkedList<() => void>>()

function openCalls(shutdown: AbortSignal): LinkedList<() => void> {
  const known = callsOf.get(shutdown)
  if (known !== undefined) return known
  const calls = new LinkedList<() => void>()
  callsOf.set(shutdown, calls)
  shutdown.addEventListener('abort', () => {
    for (let abort = calls.shift(); abort !== undefined; abort = calls.shift()) abort()
  })
  return calls
}

/** Aborts `over` when the client goes before the response is sent, or the daemon stops. Returns what undoes it. */
export function abortWithClient(
  response: RawResponse,
  over: Pick<AbortController, 'abort'>,
  shutdown: AbortSignal,
): () => void {
  let undone = false
  const onClose = () => {
    if (!undone) over.abort(new AppError('canceled', 'the client has gone'))
  }
  const onShutdown = () => over.abort(shutdown.reason)
  // Never removed, which would take longer than to call it: a response is closed once, and then released.
  response.on('error', onClose)
  response.on('close', onClose)
  const calls = openCalls(shutdown)
  const place = calls.push(onShutdown)
  if (shutdown.aborted) onShutdown()
  if (response.destroyed) onClose()
  return () => {
    undone = true
    calls.delete(place)
  }
}
