/** A piece of a program's output, up to a byte that separates them. */
export interface SearchRecord {
  /** All of it, or its beginning. */
  readonly bytes: Buffer
  /** Of one that is too long: what follows the marker, as far as it was found; undefined: `bytes` is all. */
  readonly tail: Buffer | undefined
}

interface RecordOptions {
  readonly separator: number
  /** Longer records are cut. */
  readonly maxBytes: number
  /** In a record that is cut, what follows this is kept as well. */
  readonly marker: Buffer
}

/** Bytes that are kept behind a marker. */
const TAIL_BYTES = 256

/** Takes output apart, however it is cut into chunks, in constant memory. */
export class RecordSplitter {
  readonly #options: RecordOptions
  #parts: Buffer[] = []
  #length = 0
  /** Of a record that is too long: its last bytes, then what follows the marker. */
  #window: Buffer | undefined
  #marked = false

  constructor(options: RecordOptions) {
    this.#options = options
  }

  /** The records that end in a chunk. */
  *push(chunk: Buffer): Generator<SearchRecord> {
    let at = 0
    for (;;) {
      const end = chunk.indexOf(this.#options.separator, at)
      this.#add(chunk.subarray(at, end < 0 ? chunk.length : end))
      if (end < 0) return
      yield this.#take()
      at = end + 1
    }
  }

  #add(piece: Buffer): void {
    const room = this.#options.maxBytes - this.#length
    if (room > 0 && piece.length > 0) {
      this.#parts.push(Buffer.from(piece.subarray(0, room)))
      this.#length += Math.min(room, piece.length)
    }
    if (piece.length > room) this.#addLong(piece.subarray(Math.max(0, room)))
  }

  #addLong(piece: Buffer): void {
    const { marker } = this.#options
    const before = this.#window ?? lastBytes(Buffer.concat(this.#parts), marker.length - 1)
    if (this.#marked && before.length >= TAIL_BYTES) return
    const all = Buffer.concat([before, piece])
    const at = this.#marked ? 0 : all.indexOf(marker)
    const start = this.#marked ? 0 : at + marker.length
    this.#marked = at >= 0
    this.#window = Buffer.from(
      this.#marked ? all.subarray(start, start + TAIL_BYTES) : lastBytes(all, marker.length - 1),
    )
  }

  #take(): SearchRecord {
    const tail = this.#window === undefined ? undefined : this.#marked ? this.#window : Buffer.alloc(0)
    const record = { bytes: Buffer.concat(this.#parts), tail }
    this.#parts = []
    this.#length = 0
    this.#window = undefined
    this.#marked = false
    return record
  }
}

function lastBytes(bytes: Buffer, count: number): Buffer {
  return bytes.subarray(Math.max(0, bytes.length - count))
}
