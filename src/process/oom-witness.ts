import type { OomCounter } from './oom-counter.ts'

/** The kernel's log, as far as it names who was killed for lack of memory (`metrics/kernel-log`). */
interface KernelLog {
  /** The number of the newest record of a kill. */
  newest(): number
  /**
   * Whether a later record names that process, waiting so many milliseconds for it; undefined: it cannot be read. Never
   * rejects.
   */
  wasKilled(pid: number, after: number, wait: number): Promise<boolean | undefined>
}

/** What is asked about one process. */
export interface OomInquiry {
  /**
   * It was killed by SIGKILL, or, if it is a shell, exited as if one of its children was. Whether that was for lack of
   * memory. Never rejects.
   */
  wasOutOfMemory(pid: number, how: 'killed' | 'child killed'): Promise<boolean>
  /** The process has ended, and was asked about if it is to be. Idempotent. */
  end(): void
}

/** Says which processes the kernel has killed for lack of memory. */
export interface OomWitness {
  /** Is called when a process starts: kills before that are not its. The caller ends the inquiry. */
  begin(): OomInquiry
  /** Ends the counting. Idempotent. */
  close(): void
}

/**
 * Between two counts. A kill shows in the counter before its process ends, and that takes the less the less memory it
 * had.
 */
const PERIOD_MS = 2_000

/** The kernel writes its record after the signal that ends the process. */
const RECORD_WAIT_MS = 1_000

/**
 * Combines two sources: the counter of the cgroup that commands are in, and the kernel's log, where it can be read.
 * Without a new kill in the counter nothing is waited for. With one, the log says whether it was this process; where
 * there is no log, or the victim was a child, a kill within the last two counts (2 to 4 s) is taken for it. Counts
 * while a process runs only: an idle daemon need not wake up for it.
 */
export function createOomWitness(counter: OomCounter, log: KernelLog): OomWitness {
  let counts: readonly (number | undefined)[] = []
  let running = 0
  let timer: NodeJS.Timeout | undefined
  const look = async () => {
    const now = await counter.count()
    counts = [counts.at(-1) ?? now, now]
  }
  const start = () => {
    counts = []
    void look()
    // One command after the other is no reason to start anew each time.
    timer = setInterval(() => (running === 0 ? stop() : void look()), PERIOD_MS).unref()
  }
  const stop = () => {
    clearInterval(timer)
    timer = undefined
  }
  const hasGrown = async () => {
    const [before] = counts
    const now = await counter.count()
    return before !== undefined && now !== undefined && now > before
  }
  return {
    begin: () => {
      const after = log.newest()
      running++
      if (timer === undefined) start()
      let ended = false
      return {
        wasOutOfMemory: async (pid, how) => {
          if (!(await hasGrown())) return false
          const named = how === 'killed' ? await log.wasKilled(pid, after, RECORD_WAIT_MS) : undefined
          return named ?? true
        },
        end: () => {
          if (ended) return
          ended = true
          running--
        },
      }
    },
    close: stop,
  }
}
