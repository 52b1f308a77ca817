/** Those who wait until a count that only grows has reached a number. */
export class Milestones {
  /** In the order of their numbers, from `#head` on. */
  #waiting: { readonly at: number; readonly resolve: () => void }[] = []
  #head = 0

  /** Somebody waits. */
  get awaited(): boolean {
    return this.#head < this.#waiting.length
  }

  /** Resolves when `reached` is called with `at` or more. */
  wait(at: number): Promise<void> {
    return new Promise((resolve) => {
      const last = this.#waiting.at(-1)
      this.#waiting.push({ at, resolve })
      // Who comes later rarely waits for less.
      if (last === undefined || last.at <= at) return
      this.#waiting = this.#waiting.slice(this.#head).sort((a, b) => a.at - b.at)
      this.#head = 0
    })
  }

  /** The count stands here now; Infinity lets everybody go. */
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
