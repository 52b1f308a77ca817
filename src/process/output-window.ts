/** Largest window of one process: what a reader may lag behind a faster one before it is ended. */
const MAX_WINDOW_BYTES = 4 * 1024 * 1024

/** Smallest window: some lines. So all processes together never keep more than 64 MiB. */
const MIN_WINDOW_BYTES = 4 * 1024

/** The windows are cut again when the part of each process has become smaller by this factor. */
const GROWTH = 1.25

/**
 * The part of the memory that output of ended processes may take: enough for late clients, and the living keep most.
 */
const KEPT_PART = 1 / 4

/** Who shares the memory for recent output. */
export interface WindowShare {
  /** Bytes this process may keep at the moment. */
  readonly bytes: number
  /**
   * Bytes that may be read ahead of its readers at the moment: `bytes`, but not more than all others leave of the total,
   * and always some lines.
   */
  readonly ahead: number
  /** Bytes that the process has in memory: more than `bytes` while readers have yet to take them. */
  readonly held: number
  /** It has so many bytes more, or fewer. */
  hold(change: number): void
  /** Called when `bytes` may be a good deal less than what is kept; set by the one that keeps it. */
  onShrink: () => void
  /**
   * The process has ended and that many bytes are left of it. They stay until the output of processes that end later
   * needs the room. Once, at most, and not after `release`.
   */
  keep(bytes: number): void
  /** Releases the share. Idempotent. */
  release(): void
}

/**
 * Shares a total of memory for recent output between all processes: each that runs gets an equal part, at most 4 MiB
 * and at least 4 KiB, which is more than its part only when there are thousands. A quarter at most goes to those that
 * have ended, the newest first.
 */
export class OutputWindow {
  readonly #total: number
  readonly #sharers = new Set<WindowShare>()
  /** Of processes that had ended already, whose output is not counted yet. */
  readonly #ended = new Set<WindowShare>()
  /** Bytes by share, in order of end. */
  readonly #kept = new Map<WindowShare, number>()
  #keptBytes = 0
  /** What all have in memory. */
  #held = 0
  #cutPart: number

  /** @param total bytes over all processes. */
  constructor(total: number) {
    this.#total = total
    this.#cutPart = this.#part()
  }

  /** One more process. Its part shrinks and grows with the number of others. */
  share(): WindowShare {
    const share = this.#create()
    this.#sharers.add(share)
    this.#cut()
    return share
  }

  /** Of a process that ended under an earlier daemon: it takes no part of the others, and has its own until `keep`. */
  shareOfEnded(): WindowShare {
    const share = this.#create()
    this.#ended.add(share)
    return share
  }

  #create(): WindowShare {
    const bytes = () => {
      if (this.#ended.has(share)) return MAX_WINDOW_BYTES
      return this.#kept.get(share) ?? (this.#sharers.has(share) ? this.#part() : 0)
    }
    const share: WindowShare = new Share({
      bytes,
      free: () => this.#total - this.#held,
      hold: (change) => {
        this.#held += change
      },
      keep: (length) => this.#keep(share, length),
      release: () => this.#release(share),
    })
    return share
  }

  #part(): number {
    const part = Math.floor((this.#total - this.#keptBytes) / Math.max(1, this.#sharers.size))
    return Math.max(MIN_WINDOW_BYTES, Math.min(MAX_WINDOW_BYTES, part))
  }

  #keep(share: WindowShare, bytes: number): void {
    if (!this.#sharers.delete(share) && !this.#ended.delete(share)) return
    this.#kept.set(share, bytes)
    this.#keptBytes += bytes
    const most = Math.floor(this.#total * KEPT_PART)
    for (const [oldest, size] of this.#kept) {
      const excess = this.#keptBytes - most
      if (excess <= 0) break
      if (size === 0) continue
      this.#kept.set(oldest, Math.max(0, size - excess))
      this.#keptBytes -= Math.min(size, excess)
      oldest.onShrink()
    }
    this.#cut()
  }

  #release(share: WindowShare): void {
    this.#sharers.delete(share)
    this.#ended.delete(share)
    this.#keptBytes -= this.#kept.get(share) ?? 0
    this.#kept.delete(share)
    const part = this.#part()
    if (part > this.#cutPart * GROWTH) this.#cutPart = part
  }

  /** A process that says nothing more would otherwise keep what was its part when there were few. */
  #cut(): void {
    const part = this.#part()
    if (part * GROWTH > this.#cutPart) return
    this.#cutPart = part
    for (const { onShrink } of this.#sharers) onShrink()
  }
}

interface ShareOptions {
  readonly bytes: () => number
  /** The rest of the total. */
  readonly free: () => number
  readonly hold: (change: number) => void
  readonly keep: (bytes: number) => void
  readonly release: () => void
}

/** A class, as V8 makes a hidden class for each object that has a getter of its own. */
class Share implements WindowShare {
  readonly #options: ShareOptions
  #held = 0
  onShrink = () => {}

  constructor(options: ShareOptions) {
    this.#options = options
  }

  get bytes(): number {
    return this.#options.bytes()
  }

  get ahead(): number {
    return Math.min(this.bytes, Math.max(MIN_WINDOW_BYTES, this.#options.free()))
  }

  get held(): number {
    return this.#held
  }

  hold(change: number): void {
    this.#held += change
    this.#options.hold(change)
  }

  keep(bytes: number): void {
    this.hold(bytes - this.#held)
    this.#options.keep(bytes)
  }

  release(): void {
    this.hold(-this.#held)
    this.#options.release()
  }
}
