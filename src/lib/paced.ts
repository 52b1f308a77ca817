/**
 * Makes a call of `action` that may be made any number of times: the first runs it at once, and those that come within `ms`
 * milliseconds after a run lead together to one more at their end. The timer keeps no process alive.
 */
export function paced(action: () => void, ms: number): () => void {
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
