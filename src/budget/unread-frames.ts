import { AppError } from '../errors.ts'
import type { BudgetOwner, ByteBudget } from './budget.ts'

/** The frames of streams that their clients have yet to take, in sum over all streams. */
export interface UnreadFrames {
  /**
   * Counts one more stream. Throws AppError `budget_spent` when there is no memory for it either after streams were
   * ended that take nothing.
   * @param cost.evict cuts the stream off: others need what it holds, and its client has taken nothing for a second.
   */
  open(owner: BudgetOwner, cost: StreamCost): StreamFrames
}

/** What a stream takes, and how it is given up. */
export interface StreamCost {
  readonly evict: () => void
  /** Bytes beside its frames; default: 48 KiB, for connection, request, response, reader and what joins them. */
  readonly bytes?: number
  /** Copies of each frame that are in memory at a time; default: 1. */
  readonly copies?: number
}

/** Those of one stream. The opener releases them when the connection has, or has dropped, all of them. */
export interface StreamFrames {
  /**
   * The frame waits from now on; the same object may wait in many streams and counts once. Throws as
   * `UnreadFrames.open`.
   */
  add(frame: Uint8Array): void
  /** The client has taken the frame. */
  taken(frame: Uint8Array): void
  /** Nothing waits any more. Idempotent. */
  release(): void
}

/** See `StreamCost`. What each of a thousand streams took, its connection and garbage included. */
const STREAM_BYTES = 48 * 1024

/** Memory of a frame beside its bytes: a stream may have many small ones. */
const FRAME_OVERHEAD_BYTES = 256

/**
 * A client that takes nothing for so long may be cut off when memory is short; one that reads, however slowly, takes
 * something.
 */
const STALLED_MS = 1000

interface Stream {
  readonly hold: { tryGrow(bytes: number): boolean; shrink(bytes: number): void }
  readonly waiting: Set<Uint8Array>
  readonly evict: () => void
  readonly copies: number
  /** When its client took something last, or had nothing to take. */
  since: number
}

/** Counts frames in `budget`. */
export function createUnreadFrames(budget: ByteBudget): UnreadFrames {
  const waiting = new WaitingFrames()
  return {
    open: (owner, { evict, bytes = STREAM_BYTES, copies = 1 }) => {
      const stream: Stream = { hold: budget.hold('frame', owner), waiting: new Set(), evict, copies, since: 0 }
      waiting.grow(stream, bytes)
      let released = false
      return {
        add: (frame) => {
          if (!released) waiting.add(stream, frame)
        },
        taken: (frame) => waiting.taken(stream, frame),
        release: () => {
          if (released) return
          released = true
          waiting.dropAll(stream)
          stream.hold.shrink(bytes)
        },
      }
    },
  }
}

/** The frames that wait, over all streams. */
class WaitingFrames {
  /** Who is charged for a frame, and in how many streams it waits. */
  readonly #charged = new Map<Uint8Array, { readonly stream: Stream; streams: number }>()
  /** In the order of `since`. */
  readonly #streams = new Set<Stream>()

  /** Throws `budget_spent`. */
  add(stream: Stream, frame: Uint8Array): void {
    if (stream.waiting.has(frame)) return
    const charge = this.#charged.get(frame)
    if (charge === undefined) {
      this.grow(stream, costOf(frame, stream))
      this.#charged.set(frame, { stream, streams: 1 })
    } else charge.streams++
    if (stream.waiting.size === 0) stream.since = performance.now()
    stream.waiting.add(frame)
    this.#streams.add(stream)
  }

  taken(stream: Stream, frame: Uint8Array): void {
    this.#drop(stream, frame)
    this.#streams.delete(stream)
    if (stream.waiting.size === 0) return
    stream.since = performance.now()
    this.#streams.add(stream)
  }

  dropAll(stream: Stream): void {
    this.#streams.delete(stream)
    for (const frame of stream.waiting) this.#drop(stream, frame)
  }

  /** Holds more for a stream, and ends others that take nothing if that needs be. Throws `budget_spent`. */
  grow(stream: Stream, bytes: number): void {
    while (!stream.hold.tryGrow(bytes)) {
      if (!this.#evictOldest())
        throw new AppError('budget_spent', 'the memory for streams that wait for clients is spent')
    }
  }

  #evictOldest(): boolean {
    const [stream] = this.#streams
    if (stream === undefined || performance.now() - stream.since < STALLED_MS) return false
    this.dropAll(stream)
    stream.evict()
    return true
  }

  #drop(stream: Stream, frame: Uint8Array): void {
    const charge = this.#charged.get(frame)
    if (!stream.waiting.delete(frame) || charge === undefined) return
    charge.streams--
    if (charge.streams > 0) return
    this.#charged.delete(frame)
    charge.stream.hold.shrink(costOf(frame, charge.stream))
  }
}

function costOf({ length }: Uint8Array, { copies }: Stream): number {
  return length * copies + FRAME_OVERHEAD_BYTES
}
