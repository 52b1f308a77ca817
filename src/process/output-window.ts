/** Largest window of one process: what a reader may lag behind a faster one before it is ended. */
const MAX_WINDOW_BYTES = 4 * 1024 * 1024

/** Smallest window: one full read, below which a reader could not follow at all. */
const MIN_WINDOW_BYTES = 64 * 1024

/** Who shares the memory for recent output. */
export interface WindowShare {
  /** Bytes this process may keep at the moment. */
  readonly bytes: number
  /** Gives the share back. Idempotent. */
  release(): void
}

/**
 * Shares a total of memory for recent output between all processes: each gets an equal part, at least 64 KiB and at most
 * 4 MiB. With more than total / 64 KiB processes the minimum wins, so the total is a target, not a hard limit.
 */
export class OutputWindow {
  readonly #total: number
  #sharers = 0

  /** @param total bytes over all processes. */
  constructor(total: number) {
    this.#total = total
  }

  /** One more process. Its part shrinks and grows with the number of others. */
  share(): WindowShare {
    this.#sharers++
    let held = true
    const bytes = () => Math.max(MIN_WINDOW_BYTES, Math.min(MAX_WINDOW_BYTES, Math.floor(this.#total / this.#sharers)))
    const release = () => {
      if (held) this.#sharers--
      held = false
    }
    return {
      get bytes() {
        return bytes()
      },
      release,
    }
  }
}
