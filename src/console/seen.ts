/**
 * Milliseconds that a page is out of sight before its streams are closed: a browser has six connections to a host for
 * all of its tabs, and a short look at another one costs nothing.
 */
const UNSEEN_MS = 10_000

/** Calls `listener` whenever the page has been out of sight for a while, until what is returned is called. */
export function onUnseen(listener: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  const look = () => {
    clearTimeout(timer)
    if (document.visibilityState === 'hidden') timer = setTimeout(listener, UNSEEN_MS)
  }
  look()
  document.addEventListener('visibilitychange', look)
  return () => {
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', look)
  }
}

/** Calls `listener` whenever the page comes into sight, until what is returned is called. */
export function onSeen(listener: () => void): () => void {
  const look = () => document.visibilityState === 'visible' && listener()
  document.addEventListener('visibilitychange', look)
  return () => document.removeEventListener('visibilitychange', look)
}

/** Resolves when the page is in sight, or the signal aborts. */
export async function whenSeen(signal: AbortSignal): Promise<void> {
  if (document.visibilityState === 'visible' || signal.aborted) return
  const { promise, resolve } = Promise.withResolvers<void>()
  const stop = onSeen(resolve)
  signal.addEventListener('abort', () => resolve(), { once: true })
  await promise.finally(stop)
}
