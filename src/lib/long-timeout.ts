/** Longest delay that setTimeout takes; a longer one would fire at once. */
const MAX_DELAY_MS = 2 ** 31 - 1

/**
 * Calls back after any number of milliseconds, also beyond setTimeout's 24 days. Returns the function that cancels it.
 * The timer alone does not keep the process alive.
 */
export function longTimeout(milliseconds: number, callback: () => void): () => void {
  const due = performance.now() + milliseconds
  let timer: NodeJS.Timeout
  const arm = () => {
    const left = due - performance.now()
    if (left > MAX_DELAY_MS) timer = setTimeout(arm, MAX_DELAY_MS).unref()
    else timer = setTimeout(callback, Math.max(0, left)).unref()
  }
  arm()
  return () => clearTimeout(timer)
}
