import { freeNow, type Memory } from '../../budget/memory.ts'
import { AppError } from '../../errors.ts'

/** Room for most requests. Those of streams take it as long as their stream lasts, of which there may be thousands. */
const MIN_CAPACITY = 512

/** Bytes that come in pieces, however small, put together in memory that grows with them. */
export class Collected {
  readonly #memory: Memory
  readonly #limit: number
  #bytes: Buffer = Buffer.alloc(0)
  #length = 0

  /** @param limit AppError `too_large` beyond it. */
  constructor(memory: Memory, limit: number) {
    this.#memory = memory
    this.#limit = limit
  }

  get length(): number {
    return this.#length
  }

  /** Everything that was added: a view of the request's memory. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  /**
   * Takes over a piece that has no other user; it is empty afterwards. Throws AppError `too_large`, or as `Hold.grow`.
   */
  add(piece: Buffer): void {
    const length = this.#length + piece.length
    if (length > this.#limit) throw tooLarge(this.#limit)
    if (length > this.#bytes.length) this.#enlarge(length)
    piece.copy(this.#bytes, this.#length)
    this.#length = length
    freeNow(piece)
  }

  #enlarge(needed: number): void {
    const capacity = Math.min(this.#limit, Math.max(needed, this.#bytes.length * 2, MIN_CAPACITY))
    const larger = this.#memory.allocate(capacity)
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#memory.free(this.#bytes)
    this.#bytes = larger
  }
}

/** What is larger than anything of its kind may be. */
export function tooLarge(limit: number): AppError {
  return new AppError('too_large', `message is larger than the limit of ${limit} bytes`)
}
