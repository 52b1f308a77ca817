import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { loopTurns } from '../lib/turns.ts'
import { WakeUp } from '../lib/wake-up.ts'
import type { Change } from './change.ts'

/**
 * Changes that wait for one client; a client further behind receives the number of those it has missed. Some 10 MB with
 * long names.
 */
export const MAX_BUFFERED_CHANGES = 65_536

/** A change with its place in the buffer, beside the name. */
const CHANGE_BYTES = 72

/** How a buffer is made. */
interface BufferOptions {
  /** Takes the memory of the changes; released by `close`. Default: they are not counted. */
  readonly hold?: Hold
  /** Changes that are kept at most; default: 65,536. */
  readonly limit?: number
  /** Called when changes begin to be lost. */
  readonly onLoss?: () => void
  /** Called for each change that is lost. */
  readonly onDrop?: () => void
}

/** The changes that one client has yet to take, and how its watching ended. */
export class ChangeBuffer {
  readonly #hold: Hold | undefined
  readonly #limit: number
  readonly #onLoss: () => void
  readonly #onDrop: () => void
  readonly #news = new WakeUp()
  #waking = false
  #changes: Change[] = []
  /** Index of the oldest change that was neither taken nor dropped. */
  #head = 0
  #lost = 0
  #end: AppError | undefined
  #closed = false
  #gap: string | undefined
  /** Changes were lost for lack of memory, not because there were too many. */
  #memorySpent = false

  constructor({ hold, limit = MAX_BUFFERED_CHANGES, onLoss = () => {}, onDrop = () => {} }: BufferOptions = {}) {
    this.#hold = hold
    this.#limit = limit
    this.#onLoss = onLoss
    this.#onDrop = onDrop
  }

  /** Adds a change; the oldest one goes when there are too many, or no memory for one more. */
  push(change: Change): void {
    if (this.#closed) return
    if (this.length >= this.#limit) this.#dropOldest()
    if (this.#fits(change)) this.#changes.push(change)
    this.#wake()
  }

  /** Earlier changes may be missing, for this reason: the next `drain` reports it. */
  missed(why: string): void {
    this.#gap = why
  }

  /** No more changes will come, for this reason. */
  end(error: AppError): void {
    this.#end ??= error
    this.#news.wake()
  }

  /** Why no more changes come, once that is so. */
  get ended(): AppError | undefined {
    return this.#end
  }

  /** Number of changes to take. */
  get length(): number {
    return this.#changes.length - this.#head
  }

  /** Releases the memory; nothing is kept from now on. Idempotent. */
  close(): void {
    this.#closed = true
    this.#changes = []
    this.#head = 0
    this.#hold?.release()
  }

  /** Drops what waits, which will never be taken, as some changes were lost. */
  discard(): void {
    this.#lost += this.length
    this.sent(this.#changes.slice(this.#head))
    this.#changes = []
    this.#head = 0
  }

  /** To be called when taken changes are not needed any more: until then their memory counts as waiting. */
  sent(changes: readonly Change[]): void {
    if (this.#hold !== undefined) this.#hold.shrink(changes.reduce((sum, change) => sum + bytesOf(change), 0))
  }

  /**
   * Takes the oldest changes, `most` at most. Throws `resource_exhausted` with the number of all that were missed once
   * some were lost.
   */
  take(most: number): Change[] {
    if (this.#lost > 0) throw this.#exhausted(this.#lost + this.length)
    const taken = this.#changes.slice(this.#head, this.#head + most)
    this.#head += taken.length
    this.#cut()
    return taken
  }

  /**
   * Takes all changes. Throws `resource_exhausted` once after some were lost, with their number, or why they may be; the
   * next call goes on.
   */
  drain(): Change[] {
    if (this.#gap !== undefined) {
      const error = new AppError('resource_exhausted', this.#gap)
      this.#gap = undefined
      throw error
    }
    if (this.#lost > 0) {
      const error = this.#exhausted(this.#lost)
      this.#lost = 0
      this.#memorySpent = false
      throw error
    }
    return this.take(this.length)
  }

  /**
   * True once there is something to take or the end; false when `milliseconds` have passed without. Rejects with the
   * signal's reason.
   */
  async waiting(milliseconds: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted()
    return this.length > 0 || this.#end !== undefined || this.#news.wait(milliseconds, signal)
  }

  /** In its turn: a change of a directory that thousands watch would wake them all at once. */
  #wake(): void {
    if (this.#waking) return
    this.#waking = true
    void loopTurns.next(this).then(() => {
      this.#waking = false
      this.#news.wake()
    })
  }

  #exhausted(missed: number): AppError {
    const why = this.#memorySpent
      ? 'the memory for waiting data is spent'
      : `more than ${this.#limit} were waiting to be taken`
    return new AppError('resource_exhausted', `${missed} file events were missed: ${why}`)
  }

  #fits(change: Change): boolean {
    const bytes = bytesOf(change)
    if (this.#hold === undefined || this.#hold.tryGrow(bytes)) return true
    this.#memorySpent = true
    if (this.length > 0) {
      this.#dropOldest()
      if (this.#hold.tryGrow(bytes)) return true
    }
    this.#lose()
    return false
  }

  #dropOldest(): void {
    const oldest = this.#changes[this.#head]
    if (oldest !== undefined) this.sent([oldest])
    this.#head++
    this.#cut()
    this.#lose()
  }

  #lose(): void {
    this.#lost++
    this.#onDrop()
    if (this.#lost === 1) this.#onLoss()
  }

  /** Removes what was taken or dropped from the array, in large pieces, as each removal moves the rest. */
  #cut(): void {
    if (this.#head < this.#limit && this.#head < this.#changes.length) return
    this.#changes = this.#changes.slice(this.#head)
    this.#head = 0
  }
}

function bytesOf({ name, raw }: Change): number {
  return CHANGE_BYTES + name.length + (raw?.length ?? 0)
}
