/**
 * For work of which no two runs are at the same time: the function returns the outcome of one run that begins after the
 * call, which all share who wait for it.
 */
export function createNextRun<T>(work: () => Promise<T>): () => Promise<T> {
  let running: Promise<unknown> = Promise.resolve()
  let next: Promise<T> | undefined
  const begin = () => {
    next = undefined
    const run = work()
    running = run
    return run
  }
  return () => {
    next ??= running.then(begin, begin)
    return next
  }
}
