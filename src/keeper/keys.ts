import { MAX_KEYS } from './protocol.ts'

/** The key of what belongs to the daemon itself, not to one process. */
export const DAEMON_KEY = 0

/** The key of the memory that output and its positions lie in. */
export const OUTPUT_KEY = 1

/** The keys of deposits that are in use. */
export class Keys {
  readonly #used: Set<number>
  #lowest = 0

  /** @param reserved keys that are never free. */
  constructor(reserved: Iterable<number>) {
    this.#used = new Set(reserved)
  }

  use(key: number): void {
    this.#used.add(key)
  }

  /** Takes the lowest that is free; undefined: none is. */
  useFree(): number | undefined {
    while (this.#used.has(this.#lowest)) this.#lowest++
    if (this.#lowest >= MAX_KEYS) return undefined
    this.#used.add(this.#lowest)
    return this.#lowest
  }

  release(key: number): void {
    this.#used.delete(key)
    this.#lowest = Math.min(this.#lowest, key)
  }
}
