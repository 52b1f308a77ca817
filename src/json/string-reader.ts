import { fromUtf8 } from '../lib/utf8.ts'
import { tooMuchText } from './tree.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const FIRST_PRINTABLE = 0x20

/** Bytes that are converted at once: well below a millisecond, also when all of them are escapes. */
const PIECE = 16 * 1024

/** What becomes of a string: nothing, its text, or the bytes that it is the base64 of. */
type StringForm = 'skip' | 'text' | 'bytes'

const BASE64 = /^[A-Za-z0-9+/_-]*={0,2}$/
const NO_BASE64 = /[\s=]+/g

/**
 * Reads one string of a JSON text, piece by piece. Bytes are written over the base64 that they come from, which is
 * longer.
 */
export class StringReader {
  readonly #bytes: Buffer
  readonly #form: StringForm
  readonly #limit: number
  readonly #start: number
  #at: number
  /** Where the piece begins that is not converted yet. */
  #from: number
  #escaped = false
  #hasEscape = false
  #text = ''
  /** Base64 digits that make no whole group yet. */
  #rest = ''
  #written: number
  #done = false

  /** @param start of the first byte behind the quote. */
  constructor(bytes: Buffer, start: number, { form, limit }: { readonly form: StringForm; readonly limit: number }) {
    this.#bytes = bytes
    this.#form = form
    this.#limit = limit
    this.#start = start
    this.#at = start
    this.#from = start
    this.#written = start
  }

  /** Position behind the closing quote. */
  get end(): number {
    return this.#at
  }

  /** Whether it was written with an escape, as far as it is read. */
  get hasEscape(): boolean {
    return this.#hasEscape
  }

  /** The string; undefined when it was not wanted. */
  get value(): string | Uint8Array | undefined {
    if (!this.#done || this.#form === 'skip') return undefined
    return this.#form === 'text' ? this.#text : this.#bytes.subarray(this.#start, this.#written)
  }

  /** Does one piece. True when the string is read. Throws SyntaxError. */
  work(): boolean {
    const stop = Math.min(this.#bytes.length, this.#at + PIECE)
    while (this.#at < stop) {
      const byte = this.#bytes[this.#at] ?? 0
      if (byte === QUOTE) return this.#finish()
      if (byte < FIRST_PRINTABLE) throw new SyntaxError('control character in a string of JSON')
      if (byte === BACKSLASH) this.#escape()
      else this.#at++
    }
    if (this.#at >= this.#bytes.length) throw new SyntaxError('unterminated string in JSON')
    if (this.#isPlain()) return this.#checkPlain()
    // A character is not divided.
    while (((this.#bytes[this.#at] ?? 0) & 0xc0) === 0x80) this.#at++
    this.#convert(this.#at, false)
    return false
  }

  /** A text without an escape so far is converted as a whole, at its end: of pieces it would be there twice. */
  #isPlain(): boolean {
    return this.#form === 'text' && !this.#escaped && this.#from === this.#start
  }

  #checkPlain(): false {
    if (this.#at - this.#start > this.#limit) throw tooMuchText(this.#limit)
    return false
  }

  /** Over a whole escape, so that no piece ends within one. */
  #escape(): void {
    // What is before it needs no more than to be converted.
    if (this.#at - this.#from > PIECE) this.#convert(this.#at, false)
    this.#escaped = true
    this.#hasEscape = true
    this.#at += this.#bytes[this.#at + 1] === 0x75 ? 6 : 2
  }

  #finish(): true {
    this.#convert(this.#at, true)
    this.#at++
    this.#done = true
    return true
  }

  #convert(end: number, last: boolean): void {
    if (this.#form === 'skip') return
    const written = fromUtf8(this.#bytes.subarray(this.#from, end))
    const piece = this.#escaped ? unescaped(written) : written
    this.#from = end
    this.#escaped = false
    if (this.#form === 'bytes') this.#decode(piece, last)
    else this.#text += piece
    if (this.#text.length > this.#limit) throw tooMuchText(this.#limit)
  }

  #decode(piece: string, last: boolean): void {
    const digits = this.#rest + (BASE64.test(piece) && last ? piece : piece.replace(NO_BASE64, ''))
    if (!BASE64.test(digits)) throw new SyntaxError('invalid base64 string')
    const length = last ? digits.length : digits.length - (digits.length % 4)
    this.#rest = digits.slice(length)
    const group = digits.slice(0, length)
    if (last && group.replace(NO_BASE64, '').length % 4 === 1) throw new SyntaxError('invalid base64 string')
    this.#written += this.#bytes.write(group, this.#written, 'base64')
  }
}

function unescaped(piece: string): string {
  const value: unknown = JSON.parse(`"${piece}"`)
  return String(value)
}
