import { setTimeout as delay } from 'node:timers/promises'

/**
 * What `work` gives, or undefined once it has failed, so many milliseconds have passed, or the signal has aborted; `work` then goes
 * on unheeded. Never rejects, and does not keep the process alive.
 */
export async function within<T>(milliseconds: number, work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const settled = new AbortController()
  const limit = delay(milliseconds, undefined, { signal: AbortSignal.any([signal, settled.signal]), ref: false })
  try {
    return await Promise.race([work.catch(() => undefined), limit.catch(() => undefined)])
  } finally {
    settled.abort()
  }
}
