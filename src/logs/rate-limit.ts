import { setTimeout as sleep } from 'node:timers/promises'

/**
 * In the long run. Each line takes a connection of its own: 0.1 ms of processor time, which makes 1 % of a core, and a
 * local port that stays taken for a minute, of which there are 28,000.
 */
const LINES_PER_SECOND = 100
/** Lines sent at once after a quiet time: what some fifty calls write. */
const BURST_LINES = 200

/** Returns a function that resolves when the next line may be sent, at the latest when its signal aborts. */
export function createRateLimit(): (hurry: AbortSignal) => Promise<void> {
  let credit = BURST_LINES
  let counted = performance.now()
  return async (hurry) => {
    const now = performance.now()
    credit = Math.min(BURST_LINES, credit + ((now - counted) * LINES_PER_SECOND) / 1000)
    counted = now
    // What goes in a hurry is not made up for later.
    if (hurry.aborted) return
    credit -= 1
    if (credit >= 0) return
    await sleep((-credit * 1000) / LINES_PER_SECOND, undefined, { signal: hurry, ref: false }).catch(() => {})
  }
}
