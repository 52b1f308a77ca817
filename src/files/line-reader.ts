import { isUtf8 } from 'node:buffer'
import { MAX_LINES_BYTES } from './limits.ts'

/** Which lines are kept. */
export interface LineRange {
  /** Number of the first one, from 1 on. */
  readonly from: number
  readonly count: number
  /** Bytes of each. */
  readonly lineBytes: number
}

/** A line of a file. */
export interface TextLine {
  readonly number: number
  /** Without its line feed; what is not UTF-8 is U+FFFD. */
  readonly text: string
  /** Bytes of the line if `text` has only the first of them. */
  readonly cutFromBytes: number | undefined
  readonly notUtf8: boolean
}

const LINE_FEED = 10

/** Takes a file apart, piece by piece, and keeps some of its lines: 1 MiB of text at most, the rest are counted. */
export class LineReader {
  readonly lines: TextLine[] = []
  readonly #range: LineRange
  /** Line feeds so far. */
  #feeds = 0
  #parts: Buffer[] = []
  #kept = 0
  #lineLength = 0
  #bytes = 0
  #full = false

  constructor(range: LineRange) {
    this.#range = range
  }

  /** Lines so far, an open one at the end included. */
  get total(): number {
    return this.#feeds + (this.#lineLength > 0 ? 1 : 0)
  }

  /** Whether nothing that comes will be kept. */
  get full(): boolean {
    return this.#full
  }

  /** Takes the next piece; it may be used again afterwards. */
  push(piece: Buffer): void {
    let at = 0
    while (at < piece.length) at = this.#keeps() ? this.#take(piece, at) : this.#skip(piece, at)
  }

  /** After the last piece: the last line may have no line feed. */
  end(): void {
    if (this.#lineLength > 0 && this.#keeps()) this.#finishLine()
  }

  #keeps(): boolean {
    return !this.#full && this.#feeds + 1 >= this.#range.from
  }

  #take(piece: Buffer, at: number): number {
    const feed = piece.indexOf(LINE_FEED, at)
    const end = feed < 0 ? piece.length : feed
    this.#lineLength += end - at
    const room = Math.min(this.#range.lineBytes - this.#kept, end - at)
    if (room > 0) this.#parts.push(Buffer.from(piece.subarray(at, at + room)))
    this.#kept += Math.max(room, 0)
    if (feed < 0) return end
    this.#finishLine()
    this.#feeds++
    this.#lineLength = 0
    return feed + 1
  }

  #finishLine(): void {
    const isCut = this.#lineLength > this.#kept
    const bytes = isCut ? wholeCharacters(Buffer.concat(this.#parts)) : Buffer.concat(this.#parts)
    this.#parts = []
    this.#bytes += this.#kept
    this.#kept = 0
    if (this.#bytes > MAX_LINES_BYTES && this.lines.length > 0) this.#full = true
    else {
      const cutFromBytes = isCut ? this.#lineLength : undefined
      this.lines.push({ number: this.#feeds + 1, text: bytes.toString(), cutFromBytes, notUtf8: !isUtf8(bytes) })
    }
    if (this.lines.length >= this.#range.count) this.#full = true
  }

  /** Counts line feeds, up to the one before the first line that is kept. */
  #skip(piece: Buffer, from: number): number {
    const until = this.#full ? Number.POSITIVE_INFINITY : this.#range.from - 1
    let at = from
    let last = -1
    for (; at < piece.length && this.#feeds < until; at++) {
      if (piece[at] !== LINE_FEED) continue
      this.#feeds++
      last = at
    }
    this.#lineLength = last < 0 ? this.#lineLength + at - from : at - last - 1
    return at
  }
}

/** Bytes without the beginning of a UTF-8 character at their end. */
export function wholeCharacters(bytes: Buffer): Buffer {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes.readUInt8(bytes.length - back)
    if (byte < 0x80) return bytes
    // The first byte of a character that is longer than what is there of it.
    if (byte >= 0xc0) return (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) > back ? bytes.subarray(0, -back) : bytes
  }
  return bytes
}
