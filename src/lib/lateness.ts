/** How late the event loop was. */
export interface Lateness {
  /** Ends the watch; gives the most milliseconds by which a timer fired too late, up to now. */
  stop(): number
}

/** Milliseconds between looks: few enough to see a halt of 50, and cheap. */
const PERIOD_MS = 20

/** Watches how late the event loop is, until `stop`. Does not keep the process alive. */
export function watchLateness(): Lateness {
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
