/**
 * What `work` gives, or undefined once it has failed, so many milliseconds have passed, or the signal has aborted; `work` then goes
 * on unheeded. Never rejects, and does not keep the process alive.
 */
export function within<T>(milliseconds: number, work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  return new Promise((resolve) => {
    const end = (value: T | undefined) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', giveUp)
      resolve(value)
    }
    const giveUp = () => end(undefined)
    const timer = setTimeout(giveUp, milliseconds).unref()
    signal.addEventListener('abort', giveUp, { once: true })
    if (signal.aborted) giveUp()
    work.then(end, giveUp)
  })
}
