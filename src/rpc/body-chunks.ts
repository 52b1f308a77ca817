import type { Readable } from 'node:stream'
import type { Collected } from '../http/body/collected.ts'
import { CutShort, Stalled } from '../lib/pump.ts'

/** How a body is waited for. */
interface ChunkOptions {
  /** Milliseconds without a byte after which reading fails. */
  readonly stallMs: number
  /** Between two messages it may be silent for ever. */
  readonly idle: boolean
}

/** Takes a body apart, as many bytes at a time as are asked for; it is read no further than that. */
export class BodyChunks {
  readonly #iterator: AsyncIterator<Buffer>
  readonly #options: ChunkOptions
  #rest: Buffer = Buffer.alloc(0)

  constructor(body: Readable, options: ChunkOptions) {
    // Not destroyed at the end: the call is still to be answered.
    this.#iterator = body.iterator({ destroyOnReturn: false })
    this.#options = options
  }

  /** Adds bytes to what is collected until there are `length`. False: the body ended before. Rejects as `pump`. */
  async fill(collected: Collected, length: number): Promise<boolean> {
    while (collected.length < length) {
      if (this.#rest.length === 0 && !(await this.#more(collected.length === 0 && this.#options.idle))) return false
      const taken = this.#rest.subarray(0, length - collected.length)
      this.#rest = this.#rest.subarray(taken.length)
      collected.add(taken)
    }
    return true
  }

  /** Stops reading. */
  close(): void {
    this.#iterator.return?.().catch(() => {})
  }

  async #more(idle: boolean): Promise<boolean> {
    const { stallMs } = this.#options
    const stall = Promise.withResolvers<never>()
    const timer = idle ? undefined : setTimeout(() => stall.reject(new Stalled(stallMs)), stallMs)
    try {
      const { value, done } = await Promise.race([this.#next(), stall.promise])
      if (done) return false
      this.#rest = value
      return true
    } finally {
      clearTimeout(timer)
    }
  }

  async #next(): Promise<IteratorResult<Buffer>> {
    try {
      return await this.#iterator.next()
    } catch (cause) {
      throw new CutShort({ cause })
    }
  }
}
