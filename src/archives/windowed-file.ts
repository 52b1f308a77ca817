import { readInto } from '../native/file-calls.ts'

/** Bytes of one read. */
const READ_BYTES = 64 * 1024

/** Larger reads are made by themselves. */
const MAX_COPIED_BYTES = 4 * 1024

/** Reads an open file that does not change: small pieces one behind the other cost one read of 64 KiB. */
export class WindowedFile {
  readonly #fd: number
  readonly #reading = new Set<Promise<unknown>>()
  #start = 0
  #window: Buffer = Buffer.alloc(0)

  /** The descriptor stays the caller's, and open until `settled`. */
  constructor(fd: number) {
    this.#fd = fd
  }

  /** Fills the buffer from a position on. Resolves with how many bytes there were, fewer only at its end. */
  async read(buffer: Buffer, position: number): Promise<number> {
    if (buffer.length > MAX_COPIED_BYTES) return this.#fill(buffer, position)
    const end = this.#start + this.#window.length
    if (position < this.#start || position + buffer.length > end) {
      const bytes = Buffer.allocUnsafeSlow(READ_BYTES)
      this.#window = bytes.subarray(0, await this.#fill(bytes, position))
      this.#start = position
    }
    return this.#window.copy(buffer, 0, position - this.#start)
  }

  /** The bytes between two positions, as far as there are any. */
  async *pieces(start: number, end: number): AsyncGenerator<Buffer> {
    for (let position = start; position < end; ) {
      const piece = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, end - position))
      const bytesRead = await this.#fill(piece, position)
      if (bytesRead === 0) return
      yield piece.subarray(0, bytesRead)
      position += bytesRead
    }
  }

  /** Resolves when no read is under way. Never rejects. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#reading)
  }

  #fill(buffer: Buffer, position: number): Promise<number> {
    const reading = this.#readAll(buffer, position)
    this.#reading.add(reading)
    return reading.finally(() => this.#reading.delete(reading))
  }

  async #readAll(buffer: Buffer, position: number): Promise<number> {
    let filled = 0
    while (filled < buffer.length) {
      const bytesRead = await readInto(this.#fd, buffer.subarray(filled), position + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return filled
  }
}
