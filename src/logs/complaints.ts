/** What happened to lines since the last time. */
export interface Losses {
  /** Lines that the collector did not take. */
  readonly failed: number
  /** Lines that nobody tried to send: too long, or too many. */
  readonly dropped: number
  /** Why the last one failed. */
  readonly problem: string | undefined
}

/** Contract G30. */
const INTERVAL_MS = 60_000

/** What complaints need. */
export interface ComplaintsOptions {
  readonly complain: (text: string) => void
  /** Milliseconds from one to the next; default: a minute. */
  readonly intervalMs?: number
}

/** Adds losses up and tells of them when the first comes and, as long as there are more, once in each interval. Tells nothing of the lines. */
export function createComplaints({ complain, intervalMs = INTERVAL_MS }: ComplaintsOptions): {
  add(losses: Losses): void
} {
  let [failed, dropped] = [0, 0]
  let told = Number.NEGATIVE_INFINITY
  return {
    add(losses) {
      failed += losses.failed
      dropped += losses.dropped
      if (failed === 0 && dropped === 0 && losses.problem === undefined) return
      if (performance.now() - told < intervalMs) return
      const why = losses.problem === undefined ? '' : `: ${losses.problem}`
      complain(`log export: ${failed} lines failed, ${dropped} dropped${why}`)
      told = performance.now()
      failed = 0
      dropped = 0
    },
  }
}
