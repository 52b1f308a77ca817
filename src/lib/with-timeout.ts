/**
 * Resolves with the value of `work`, or with undefined once it failed, `milliseconds` passed or the signal aborted;
 * `work` is not stopped, its result is discarded. Never rejects. Keeps the process alive meanwhile: what waits at
 * shutdown goes on afterwards.
 */
export function withTimeout<T>(milliseconds: number, work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve) => {
    const end = (value: T | undefined) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', giveUp)
      resolve(value)
    }
    const giveUp = () => end(undefined)
    const timer = setTimeout(giveUp, milliseconds)
    signal.addEventListener('abort', giveUp, { once: true })
    if (signal.aborted) giveUp()
    work.then(end, giveUp)
  })
}
