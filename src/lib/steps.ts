/** Spreads the steps of many jobs over turns of the event loop, in the order in which they were asked for. */
export interface Steps {
  /** Runs `step`, at once when this turn has had few steps, else in a later one. What it throws is the loop's, not the caller's. */
  run(step: () => void): void
  /** Resolves when the caller may do one step. */
  take(): Promise<void>
}

/**
 * Makes a queue, empty at first. Its length is that of the jobs that are open: whoever opens jobs bounds it.
 * @param limit steps in one turn: their time together is what everything else waits.
 */
export function createSteps(limit: number): Steps {
  let waiting: (() => void)[] = []
  let next = 0
  let left = limit
  let renewing = false
  const renew = () => {
    renewing = false
    left = limit
    for (; left > 0 && next < waiting.length; left--) {
      renewLater()
      waiting[next++]?.()
    }
    if (next < waiting.length) return
    waiting = []
    next = 0
  }
  const renewLater = () => {
    if (renewing) return
    renewing = true
    setImmediate(renew)
  }
  const run = (step: () => void) => {
    renewLater()
    if (left === 0 || waiting.length > 0) {
      waiting.push(step)
      return
    }
    left--
    step()
  }
  return { run, take: () => new Promise((resolve) => run(resolve)) }
}
