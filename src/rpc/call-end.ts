/**
 * How a call ends before its answer is there. Nearly all calls never ask for its signal, which takes as long as all
 * else that is done for a small one: it is made at the first use.
 */
export class CallEnd {
  #controller: AbortController | undefined
  #reject: ((reason: unknown) => void) | undefined
  #aborted = false
  #reason: unknown
  /** When the call had come as a whole (`Caller.since`). */
  since: number | undefined

  constructor(since?: number) {
    this.since = since
  }

  /** `aborted`, as `Caller` has it. */
  readonly isOver = (): boolean => this.#aborted

  /** Aborts with the call. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#aborted) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  get aborted(): boolean {
    return this.#aborted
  }

  /** Why the call has ended; undefined before that. */
  get reason(): unknown {
    return this.#reason
  }

  /** Ends the call; the first reason counts. */
  abort(reason: unknown): void {
    if (this.#aborted) return
    this.#aborted = true
    this.#reason = reason
    this.#controller?.abort(reason)
    this.#reject?.(reason)
  }

  /**
   * Settles as `work` does, or rejects with the reason if the call ends first; `work` is not stopped, its result is
   * discarded. For one piece of work at a time. Nothing of the result is kept here.
   */
  race<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#reject = reject
      if (this.#aborted) reject(this.#reason)
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
