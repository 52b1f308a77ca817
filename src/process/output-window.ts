/** Largest window of one process: what a reader may lag behind a faster one before it is ended. */
const MAX_WINDOW_BYTES = 4 * 1024 * 1024

/** Smallest window: some lines. So all processes together never keep more than 64 MiB. */
const MIN_WINDOW_BYTES = 4 * 1024

/** When there are so many times as many processes as when the windows were last cut, they are cut again. */
const GROWTH = 1.25

/** Who shares the memory for recent output. */
export interface WindowShare {
  /** Bytes this process may keep at the moment. */
  readonly bytes: number
  /** Called when `bytes` may be a good deal less than what is kept; set by the one that keeps it. */
  onShrink: () => void
  /** Releases the share. Idempotent. */
  release(): void
}

/**
 * Shares a total of memory for recent output between all processes: each gets an equal part, at most 4 MiB and at least
 * 4 KiB, which is more than its part only when there are thousands.
 */
export class OutputWindow {
  readonly #total: number
  readonly #sharers = new Set<WindowShare>()
  #cutFor = 1

  /** @param total bytes over all processes. */
  constructor(total: number) {
    this.#total = total
  }

  /** One more process. Its part shrinks and grows with the number of others. */
  share(): WindowShare {
    const bytes = () => this.#part()
    const share: WindowShare = {
      get bytes() {
        return bytes()
      },
      onShrink: () => {},
      release: () => {
        this.#sharers.delete(share)
        if (this.#sharers.size < this.#cutFor / GROWTH) this.#cutFor = Math.max(1, this.#sharers.size)
      },
    }
    this.#sharers.add(share)
    this.#cut()
    return share
  }

  #part(): number {
    const part = Math.floor(this.#total / Math.max(1, this.#sharers.size))
    return Math.max(MIN_WINDOW_BYTES, Math.min(MAX_WINDOW_BYTES, part))
  }

  /** A process that says nothing more would otherwise keep what was its part when there were few. */
  #cut(): void {
    if (this.#sharers.size < this.#cutFor * GROWTH) return
    this.#cutFor = this.#sharers.size
    for (const { onShrink } of this.#sharers) onShrink()
  }
}
