/**
 * Returns a function that runs `action` at most once in `ms` milliseconds: the first call runs it at once, calls within
 * `ms` after a run together cause one more run at the end of that time. The timer does not keep the process alive.
 */
export function throttle(action: () => void, ms: number): () => void {
  let resting = false
  let wanted = false
  const run = () => {
    resting = true
    wanted = false
    setTimeout(() => {
      resting = false
      if (wanted) run()
    }, ms).unref()
    action()
  }
  return () => {
    if (resting) wanted = true
    else run()
  }
}
