/** Lets calls wait until `wake` is called. */
export class WakeUp {
  readonly #waiting = new Set<() => void>()

  /** Whether a call waits. */
  get awaited(): boolean {
    return this.#waiting.size > 0
  }

  /** Wakes all who wait at the moment. */
  wake(): void {
    if (this.#waiting.size === 0) return
    for (const wake of [...this.#waiting]) wake()
  }

  /**
   * Resolves with true when woken from now on, with false after `milliseconds`. Rejects with the signal's reason, also
   * if it has aborted already. What is waited for is to be looked at just before. The timer does not keep the process
   * alive.
   */
  wait(milliseconds: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const leave = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', onAbort)
        this.#waiting.delete(onWake)
      }
      const onAbort = () => {
        leave()
        reject(signal.reason)
      }
      const onWake = () => {
        leave()
        resolve(true)
      }
      const timer = setTimeout(() => {
        leave()
        resolve(false)
      }, milliseconds).unref()
      this.#waiting.add(onWake)
      signal.addEventListener('abort', onAbort)
    })
  }
}
