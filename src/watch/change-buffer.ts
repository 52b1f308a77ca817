import { AppError } from '../errors.ts'
import type { Change } from './tree.ts'

/** Changes that wait for one client; a client further behind is told how many it has missed. Some 10 MB with long names. */
export const MAX_BUFFERED_CHANGES = 65_536

/** The changes that one client has yet to take, and how its watching ended. */
export class ChangeBuffer {
  #changes: Change[] = []
  /** Index of the oldest change that was not dropped. */
  #head = 0
  #lost = 0
  #end: AppError | undefined
  #wake: (() => void) | undefined
  readonly #onLoss: () => void

  /** @param onLoss called when changes begin to be lost. */
  constructor(onLoss: () => void = () => {}) {
    this.#onLoss = onLoss
  }

  /** Adds a change; the oldest one goes when there are too many. */
  push(change: Change): void {
    this.#changes.push(change)
    if (this.#changes.length - this.#head > MAX_BUFFERED_CHANGES) this.#dropOldest()
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

  /** There are changes to take. */
  get hasChanges(): boolean {
    return this.#changes.length > 0
  }

  /** Takes all changes. Throws once after some were lost, `resource_exhausted` with their number; the next call goes on. */
  take(): Change[] {
    if (this.#lost > 0) {
      const lost = this.#lost
      this.#lost = 0
      throw new AppError(
        'resource_exhausted',
        `${lost} file events were lost: at most ${MAX_BUFFERED_CHANGES} are kept for a client`,
      )
    }
    const changes = this.#changes.slice(this.#head)
    this.#changes = []
    this.#head = 0
    return changes
  }

  /** True once there is something to take or the end; false when `milliseconds` have passed without. Rejects with the signal's reason. */
  waiting(milliseconds: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const ready = () => this.hasChanges || this.#end !== undefined
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
      else if (ready()) this.#wake()
    })
  }

  #dropOldest(): void {
    this.#head++
    if (this.#lost === 0) this.#onLoss()
    this.#lost++
    if (this.#head < MAX_BUFFERED_CHANGES) return
    this.#changes = this.#changes.slice(this.#head)
    this.#head = 0
  }
}
