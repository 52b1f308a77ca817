import { WakeUp } from './wake-up.ts'

/** A value with readers that wait for its replacement. */
export class Observable<T> {
  #value: T
  readonly #replaced = new WakeUp()

  constructor(value: T) {
    this.#value = value
  }

  get value(): T {
    return this.#value
  }

  /** Replaces the value and wakes all waiting readers. */
  set(value: T): void {
    this.#value = value
    this.#replaced.wake()
  }

  /**
   * Resolves with true once the value is not `known`, with false after `milliseconds`. Rejects with the signal's
   * reason.
   */
  async changed(known: T, milliseconds: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted()
    return this.#value !== known || this.#replaced.wait(milliseconds, signal)
  }
}
