/** Waiters for a count that only grows. */
export class Watermark {
  /** Sorted by `at`, from `#head` on. */
  #waiting: { readonly at: number; readonly resolve: () => void }[] = []
  #head = 0

  /** Whether a call waits. */
  get awaited(): boolean {
    return this.#head < this.#waiting.length
  }

  /** Resolves when `reached` is called with `at` or more. */
  wait(at: number): Promise<void> {
    return new Promise((resolve) => {
      const last = this.#waiting.at(-1)
      this.#waiting.push({ at, resolve })
      // Later waiters rarely wait for a lower count.
      if (last === undefined || last.at <= at) return
      this.#waiting = this.#waiting.slice(this.#head).sort((a, b) => a.at - b.at)
      this.#head = 0
    })
  }

  /** Resolves the waiters for `count` and less; Infinity resolves all. */
  reached(count: number): void {
    for (
      let next = this.#waiting[this.#head];
      next !== undefined && next.at <= count;
      next = this.#waiting[this.#head]
    ) {
      this.#head++
      next.resolve()
    }
    if (this.awaited) return
    this.#waiting = []
    this.#head = 0
  }
}
