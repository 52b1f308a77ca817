interface Losses {
  /** Lines that the collector did not accept. */
  readonly failed: number
  /** Lines that were not sent: too long, or too many. */
  readonly dropped: number
  /** Why the last one failed. */
  readonly problem: string | undefined
}

/** Contract G30. */
const INTERVAL_MS = 60_000

interface LossReportOptions {
  readonly writeStderr: (text: string) => void
  /** Milliseconds between two reports; default: a minute. */
  readonly intervalMs?: number
}

/**
 * Sums losses and reports them at the first and then at most once per interval, as numbers without content of the
 * lines.
 */
export function createLossReport({ writeStderr, intervalMs = INTERVAL_MS }: LossReportOptions): {
  add(losses: Losses): void
} {
  let [failed, dropped] = [0, 0]
  let reported = Number.NEGATIVE_INFINITY
  return {
    add(losses) {
      failed += losses.failed
      dropped += losses.dropped
      if (failed === 0 && dropped === 0 && losses.problem === undefined) return
      if (performance.now() - reported < intervalMs) return
      const why = losses.problem === undefined ? '' : `: ${losses.problem}`
      writeStderr(`log export: ${failed} lines failed, ${dropped} dropped${why}`)
      reported = performance.now()
      failed = 0
      dropped = 0
    },
  }
}
