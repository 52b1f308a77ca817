import { AppError } from '../errors.ts'
import type { Change } from './change.ts'

/** Changes that wait for one client; a client further behind is told how many it has missed. Some 10 MB with long names. */
export const MAX_BUFFERED_CHANGES = 65_536

/** How a buffer is made. */
export interface BufferOptions {
  /** Changes that are kept at most; default: 65,536. */
  readonly limit?: number
  /** Called when changes begin to be lost. */
  readonly onLoss?: () => void
  /** Called for each change that is lost. */
  readonly onDrop?: () => void
}

/** The changes that one client has yet to take, and how its watching ended. */
export class ChangeBuffer {
  readonly #limit: number
  readonly #onLoss: () => void
  readonly #onDrop: () => void
  #changes: Change[] = []
  /** Index of the oldest change that was neither taken nor dropped. */
  #head = 0
  #lost = 0
  #end: AppError | undefined
  #wake: (() => void) | undefined

  constructor({ limit = MAX_BUFFERED_CHANGES, onLoss = () => {}, onDrop = () => {} }: BufferOptions = {}) {
    this.#limit = limit
    this.#onLoss = onLoss
    this.#onDrop = onDrop
  }

  /** Adds a change; the oldest one goes when there are too many. */
  push(change: Change): void {
    this.#changes.push(change)
    if (this.length > this.#limit) this.#dropOldest()
    this.#wake?.()
  }

  /** No more changes will come, for this reason. */
  end(error: AppError): void {
    this.#end ??= error
    this.#wake?.()
  }

  /** Why no more changes come, once that is so. */
  get ended(): AppError | undefined {
    return this.#end
  }

  /** Number of changes to take. */
  get length(): number {
    return this.#changes.length - this.#head
  }

  /** Takes the oldest changes, `most` at most. Throws `resource_exhausted` with the number of all that were missed once some were lost. */
  take(most: number): Change[] {
    if (this.#lost > 0) throw this.#exhausted(this.#lost + this.length)
    const taken = this.#changes.slice(this.#head, this.#head + most)
    this.#head += taken.length
    this.#cut()
    return taken
  }

  /** Takes all changes. Throws `resource_exhausted` once after some were lost, with their number; the next call goes on. */
  drain(): Change[] {
    if (this.#lost > 0) {
      const lost = this.#lost
      this.#lost = 0
      throw this.#exhausted(lost)
    }
    return this.take(this.length)
  }

  /** True once there is something to take or the end; false when `milliseconds` have passed without. Rejects with the signal's reason. */
  waiting(milliseconds: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void) => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        this.#wake = undefined
        finish()
      }
      const onAbort = () => settle(() => reject(signal.reason))
      const timer = setTimeout(() => settle(() => resolve(false)), milliseconds)
      timer.unref()
      this.#wake = () => settle(() => resolve(true))
      signal.addEventListener('abort', onAbort)
      if (signal.aborted) onAbort()
      else if (this.length > 0 || this.#end !== undefined) this.#wake()
    })
  }

  #exhausted(missed: number): AppError {
    return new AppError(
      'resource_exhausted',
      `${missed} file events were missed: more than ${this.#limit} were waiting to be taken`,
    )
  }

  #dropOldest(): void {
    this.#head++
    this.#lost++
    this.#onDrop()
    if (this.#lost === 1) this.#onLoss()
    this.#cut()
  }

  /** Lets go of what was taken or dropped, seldom enough to cost nothing. */
  #cut(): void {
    if (this.#head < this.#limit && this.#head < this.#changes.length) return
    this.#changes = this.#changes.slice(this.#head)
    this.#head = 0
  }
}
