import { AppError } from '../errors.ts'
import type { JsonLimits, Shape } from './shape.ts'
import { StringReader } from './string-reader.ts'
import { Tree } from './tree.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** Tokens between two looks at the clock: 0.2 ms. */
const TOKENS_AT_A_TIME = 1_000

/** Digits of a number: enough for every double and 64-bit integer, written out. */
const MAX_NUMBER = 400

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/
const LITERALS = new Map<string, boolean | null>([
  ['true', true],
  ['false', false],
  ['null', null],
])
const LONGEST_LITERAL = 5

/** Names, values and signs between them, wanted or not: 0.3 s of work in turns. A text of 1 MiB cannot have more. */
const MAX_TOKENS = 1024 * 1024

type Expected = 'value' | 'item or end' | 'name or end' | 'name' | 'colon' | 'comma or end' | 'nothing'

/** A JSON parser (RFC 8259) that can stop between any two tokens, and within a long string. */
export class Scanner {
  readonly tree: Tree
  readonly #bytes: Buffer
  readonly #limits: JsonLimits
  #at: number
  #expected: Expected = 'value'
  #string: StringReader | undefined
  #tokens = 0

  constructor(bytes: Buffer, shape: Shape, limits: JsonLimits) {
    this.#bytes = bytes
    this.#limits = limits
    this.tree = new Tree(shape, limits)
    this.#at = 0
  }

  /** Does a little more. True when the whole text is read. */
  work(): boolean {
    for (let i = 0; i < TOKENS_AT_A_TIME; i++) {
      if (this.#string !== undefined && !this.#string.work()) return false
      if (this.#string !== undefined) this.#endString(this.#string)
      else if (!this.#skipSpace()) return false
      else if (this.#at === this.#bytes.length) return this.#finish()
      else this.#token(this.#bytes[this.#at] ?? 0)
    }
    return false
  }

  #finish(): true {
    if (this.#expected !== 'nothing') throw new SyntaxError('unexpected end of JSON input')
    return true
  }

  /** False when there is so much of it that others should have their turn. */
  #skipSpace(): boolean {
    const end = Math.min(this.#bytes.length, this.#at + 65_536)
    while (this.#at < end) {
      const byte = this.#bytes[this.#at]
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return true
      this.#at++
    }
    return this.#at === this.#bytes.length
  }

  #token(byte: number): void {
    if (++this.#tokens > MAX_TOKENS) throw new AppError('too_large', `JSON has more than ${MAX_TOKENS} tokens`)
    const expected = this.#expected
    if (expected === 'comma or end') this.#commaOrEnd(byte)
    else if (expected === 'name or end' && byte === CLOSE_OBJECT) this.#close('object')
    else if (expected === 'item or end' && byte === CLOSE_LIST) this.#close('array')
    else if (expected === 'name' || expected === 'name or end') this.#beginName(byte)
    else if (expected === 'value' || expected === 'item or end') this.#value(byte)
    else if (expected === 'colon' && byte === COLON) this.#pass('value')
    else throw this.#unexpected()
  }

  #pass(next: Expected): void {
    this.#at++
    this.#expected = next
  }

  #value(byte: number): void {
    if (byte === QUOTE) this.#string = new StringReader(this.#bytes, this.#at + 1, this.#stringForm())
    else if (byte === OPEN_OBJECT) this.#begin('object')
    else if (byte === OPEN_LIST) this.#begin('array')
    else this.#plain()
  }

  #stringForm() {
    const { wanted } = this.tree
    if (wanted === undefined) return { form: 'skip', limit: 0 } as const
    return { form: wanted.bytes ? 'bytes' : 'text', limit: this.#limits.text } as const
  }

  #begin(kind: 'object' | 'array'): void {
    this.tree.begin(kind)
    this.#pass(kind === 'object' ? 'name or end' : 'item or end')
  }

  #beginName(byte: number): void {
    if (byte !== QUOTE) throw this.#unexpected()
    const form = this.tree.named ? 'text' : 'skip'
    this.#string = new StringReader(this.#bytes, this.#at + 1, { form, limit: this.#limits.text })
    this.#expected = 'name'
  }

  #endString(string: StringReader): void {
    this.#string = undefined
    this.#at = string.end
    if (this.#expected === 'name') {
      const { value } = string
      this.tree.name(typeof value === 'string' ? value : undefined)
      this.#expected = 'colon'
      return
    }
    if (string.hasEscape) this.tree.wanted?.onEscape?.()
    if (string.value !== undefined) this.tree.add(string.value)
    this.#afterValue()
  }

  /** A number or literal. */
  #plain(): void {
    const start = this.#at
    const last = Math.min(this.#bytes.length, start + MAX_NUMBER)
    let end = start
    while (end < last && isPlain(this.#bytes[end] ?? 0)) end++
    const text = this.#bytes.toString('latin1', start, end)
    const literal = text.length <= LONGEST_LITERAL ? LITERALS.get(text) : undefined
    if (literal === undefined && !NUMBER.test(text)) throw this.#unexpected()
    this.#at = end
    if (this.tree.wanted !== undefined) this.tree.add(literal === undefined ? Number(text) : literal)
    this.#afterValue()
  }

  #commaOrEnd(byte: number): void {
    const { open } = this.tree
    if (byte === COMMA) this.#pass(open === 'object' ? 'name' : 'value')
    else if (byte === CLOSE_OBJECT) this.#close('object')
    else if (byte === CLOSE_LIST) this.#close('array')
    else throw this.#unexpected()
  }

  #close(kind: 'object' | 'array'): void {
    if (this.tree.open !== kind) throw this.#unexpected()
    this.#at++
    this.tree.end()
    this.#afterValue()
  }

  #afterValue(): void {
    this.#expected = this.tree.open === undefined ? 'nothing' : 'comma or end'
  }

  #unexpected(): SyntaxError {
    return new SyntaxError(`unexpected token at position ${this.#at} of JSON`)
  }
}

/** Letters, digits, signs and the point. */
function isPlain(byte: number): boolean {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || isSign(byte) || byte === 0x45
}

function isSign(byte: number): boolean {
  return byte === 0x2b || byte === 0x2d || byte === 0x2e
}
