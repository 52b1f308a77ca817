/**
 * Which tick of a schedule comes next, after tick number `last` and `elapsed` milliseconds: those that were missed are
 * left out.
 */
export function nextTick(period: number, last: number, elapsed: number): number {
  return Math.max(last, Math.floor(elapsed / period)) + 1
}

/**
 * Calls back every `period` milliseconds from now on, without drift: a late call does not delay the next. The clock is
 * the monotonic one, which stands still while the machine is suspended and is not moved with the wall clock
 * (clock_gettime(2)). Returns the function that ends it. The timer does not keep the process alive.
 */
export function every(period: number, callback: () => void): () => void {
  const origin = performance.now()
  let tick = 0
  let timer: NodeJS.Timeout
  const arm = () => {
    const elapsed = performance.now() - origin
    tick = nextTick(period, tick, elapsed)
    timer = setTimeout(run, tick * period - elapsed).unref()
  }
  const run = () => {
    arm()
    callback()
  }
  arm()
  return () => clearTimeout(timer)
}
