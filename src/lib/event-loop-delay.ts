/** A running measurement of how late timers fire. */
interface EventLoopDelay {
  /** Stops measuring and returns the largest delay of a timer so far, in milliseconds. */
  stop(): number
}

/** Milliseconds between measurements: short enough to see a stall of 50 ms, and cheap. */
const PERIOD_MS = 20

/** Measures the delay of the event loop until `stop`. Does not keep the process alive. */
export function watchEventLoopDelay(): EventLoopDelay {
  let last = performance.now()
  let worst = 0
  const look = () => {
    const now = performance.now()
    worst = Math.max(worst, now - last - PERIOD_MS)
    last = now
  }
  const timer = setInterval(look, PERIOD_MS).unref()
  return {
    stop: () => {
      look()
      clearInterval(timer)
      return worst
    },
  }
}
