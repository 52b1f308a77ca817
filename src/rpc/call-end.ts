import { LateAbort } from '../lib/late-abort.ts'

/** How a call ends before its answer is there. Nearly all calls never ask for its signal. */
export class CallEnd {
  readonly #end = new LateAbort()
  #reject: ((reason: unknown) => void) | undefined
  /** When the call had come as a whole (`Caller.since`). */
  since: number | undefined

  constructor(since?: number) {
    this.since = since
  }

  get signal(): AbortSignal {
    return this.#end.signal
  }

  get aborted(): boolean {
    return this.#end.aborted
  }

  /** Undefined before it has ended. */
  get reason(): unknown {
    return this.#end.reason
  }

  /** `aborted`, as `Caller` has it. */
  readonly isOver = (): boolean => this.aborted

  /** Ends the call; the first reason counts. */
  abort(reason: unknown): void {
    if (this.aborted) return
    this.#end.abort(reason)
    this.#reject?.(reason)
  }

  /**
   * Settles as `work` does, or rejects with the reason if the call ends first; `work` is not stopped, its result is
   * discarded. For one piece of work at a time. Nothing of the result is kept here.
   */
  race<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#reject = reject
      if (this.aborted) reject(this.reason)
      const settled =
        <V>(settle: (value: V) => void) =>
        (value: V) => {
          // It leads to the promise, and so to an answer that may be long.
          if (this.#reject === reject) this.#reject = undefined
          settle(value)
        }
      work.then(settled(resolve), settled(reject))
    })
  }
}
