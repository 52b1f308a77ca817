/** Work of which no two runs are at the same time. */
interface NextRun {
  /** One run that begins after this call, shared by all who wait for it. Rejects as the work does. */
  (): Promise<void>
}

/** Makes it. @param work a run that rejects fails those who wait for it, and no other. */
export function createNextRun(work: () => Promise<void>): NextRun {
  let running: Promise<void> = Promise.resolve()
  let next: Promise<void> | undefined
  const begin = () => {
    next = undefined
    running = work()
    return running
  }
  return () => {
    next ??= running.then(begin, begin)
    return next
  }
}
