import type { DescMessage } from '@bufbuild/protobuf'
import { AppError } from '../errors.ts'
import type { JsonLimits } from '../json/shape.ts'
import { tooMuchText } from '../json/tree.ts'
import { type BinaryField, type BinaryFields, binaryFields, WIRE } from './binary-fields.ts'

/** Of the limit on values: an unknown field and the entry of a map take longer than the item of a list. */
const UNKNOWN_WEIGHT = 2
const MESSAGE_WEIGHT = 2

/** Bytes of a 64-bit number. */
const MAX_VARINT = 10

/**
 * Walks over a message in the binary encoding without building anything. Throws AppError `too_large` as soon as
 * building it would take more than the limits allow, `invalid_argument` for what is no message of that type. The work
 * is bounded by the limit on values, not by the length.
 */
export function checkBinary(schema: DescMessage, bytes: Uint8Array, limits: JsonLimits): void {
  new Walk(bytes, limits).message(binaryFields(schema), bytes.length, 1)
}

class Walk {
  readonly #bytes: Uint8Array
  readonly #limits: JsonLimits
  #at = 0
  #values = 0
  #text = 0

  constructor(bytes: Uint8Array, limits: JsonLimits) {
    this.#bytes = bytes
    this.#limits = limits
  }

  message(fields: BinaryFields, end: number, depth: number): void {
    this.#checkDepth(depth)
    while (this.#at < end) {
      const tag = this.#varint()
      const [number, wireType] = [tag >>> 3, tag & 7]
      const field = fields.get(number)
      this.#count(field === undefined ? UNKNOWN_WEIGHT : 1)
      // The library does not look: it would read another message than this one.
      if (field !== undefined && wireType !== field.wireType && !(wireType === WIRE.DELIMITED && field.packable))
        throw invalid(`wrong wire type ${wireType} of field ${number}`)
      this.#value(wireType, { number, field, depth })
    }
    if (this.#at !== end) throw invalid('premature EOF')
  }

  #value(
    wireType: number,
    {
      number,
      field,
      depth,
    }: { readonly number: number; readonly field: BinaryField | undefined; readonly depth: number },
  ): void {
    if (wireType === WIRE.VARINT) this.#varint()
    else if (wireType === WIRE.FIXED64) this.#skip(8)
    else if (wireType === WIRE.FIXED32) this.#skip(4)
    else if (wireType === WIRE.DELIMITED) this.#delimited(field, depth)
    else if (wireType === WIRE.GROUP) this.#group(number, depth + 1)
    else throw invalid(`unexpected wire type ${wireType}`)
  }

  #delimited(field: BinaryField | undefined, depth: number): void {
    const length = this.#varint()
    const start = this.#at
    this.#skip(length)
    const fields = field?.fields()
    if (fields !== undefined) {
      this.#count(MESSAGE_WEIGHT)
      this.#at = start
      this.message(fields, start + length, depth + 1)
    } else if (field?.text) this.#countText(length)
    else if (field?.packable) this.#count(length)
  }

  /** A group of an unknown field; none is known. */
  #group(number: number, depth: number): void {
    this.#checkDepth(depth)
    for (;;) {
      const tag = this.#varint()
      this.#count(UNKNOWN_WEIGHT)
      if ((tag & 7) !== WIRE.END_GROUP) this.#value(tag & 7, { number: tag >>> 3, field: undefined, depth })
      else if (tag >>> 3 === number) return
      else throw invalid('invalid end group tag')
    }
  }

  #varint(): number {
    let value = 0
    for (let i = 0; i < MAX_VARINT; i++) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw invalid('premature EOF')
      if (i < 5) value = (value | ((byte & 0x7f) << (7 * i))) >>> 0
      if (byte < 0x80) return value
    }
    throw invalid('invalid varint')
  }

  #skip(bytes: number): void {
    this.#at += bytes
    if (this.#at > this.#bytes.length) throw invalid('premature EOF')
  }

  #count(weight: number): void {
    this.#values += weight
    if (this.#values > this.#limits.values)
      throw new AppError('too_large', `the message has more than ${this.#limits.values} values`)
  }

  #countText(bytes: number): void {
    this.#text += bytes
    if (this.#text > this.#limits.text) throw tooMuchText(this.#limits.text)
  }

  #checkDepth(depth: number): void {
    if (depth > this.#limits.depth)
      throw new AppError('too_large', `the message is nested deeper than ${this.#limits.depth} levels`)
  }
}

function invalid(problem: string): AppError {
  return new AppError('invalid_argument', `unmarshal message: ${problem}`)
}
