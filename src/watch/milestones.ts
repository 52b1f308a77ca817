/** Those who wait until a count that only grows has reached a number. */
export class Milestones {
  #waiting: { readonly at: number; readonly resolve: () => void }[] = []

  /** Somebody waits. */
  get awaited(): boolean {
    return this.#waiting.length > 0
  }

  /** Resolves when `reached` is called with `at` or more. */
  wait(at: number): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ at, resolve }))
  }

  /** The count stands here now; Infinity lets everybody go. */
  reached(count: number): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const one of waiting)
      if (one.at <= count) one.resolve()
      else this.#waiting.push(one)
  }
}
