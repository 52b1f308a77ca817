/** A value with readers that wait for its replacement. */
export class Observable<T> {
  #value: T
  readonly #waiting = new Set<() => void>()

  constructor(value: T) {
    this.#value = value
  }

  get value(): T {
    return this.#value
  }

  /** Replaces the value and wakes all waiting readers. */
  set(value: T): void {
    this.#value = value
    for (const wake of [...this.#waiting]) wake()
  }

  /** Resolves with true once the value is not `known`, with false after `milliseconds`. Rejects with the signal's reason. */
  changed(known: T, milliseconds: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const settle = (finish: () => void) => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        this.#waiting.delete(onChange)
        finish()
      }
      const onAbort = () => settle(() => reject(signal.reason))
      const onChange = () => settle(() => resolve(true))
      const timer = setTimeout(() => settle(() => resolve(false)), milliseconds)
      timer.unref()
      this.#waiting.add(onChange)
      signal.addEventListener('abort', onAbort)
      if (signal.aborted) onAbort()
      else if (this.#value !== known) onChange()
    })
  }
}
