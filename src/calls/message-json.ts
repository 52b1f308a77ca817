import { type DescField, type DescMessage, type MessageShape, ScalarType, toJson } from '@bufbuild/protobuf'
import { randomUuid } from '../native/random.ts'

/** Shorter ones the library encodes as fast. */
const MIN_BYTES = 48

/** What stands for bytes while the library is at work. */
const PLACEHOLDER = Uint8Array.of(0)

/**
 * Bytes whose base64 is made at a time, a multiple of three: a longer text would lie among the large objects of the
 * heap until all of it is collected.
 */
const PIECE_BYTES = 12 * 1024

type Fields = Record<string, unknown>

/** A field of a message that has bytes. */
interface Place {
  /** The message, or the value of its oneof. */
  readonly holder: Fields
  readonly name: string
  readonly bytes: Uint8Array
}

/** A message and its JSON, which get the mark in the place of bytes. */
interface Marking {
  readonly message: Fields
  readonly json: Fields
  readonly mark: string
}

/**
 * The message as JSON, as `toJson` has it: text, or UTF-8 where it has bytes. The library takes some twenty times as
 * long for bytes and leaves much garbage: their base64 is made by Node, piece by piece where it belongs. The message is
 * changed meanwhile, and as it was when this returns.
 */
export function messageJson<O extends DescMessage>(schema: O, message: MessageShape<O>): Buffer | string {
  const places: Place[] = []
  // A message is an object with the fields of its schema.
  takeBytes(schema, message as unknown as Fields, places)
  if (places.length === 0) return JSON.stringify(toJson(schema, message))
  // Stands for the bytes in the text. Nothing that comes from outside has it, as it is drawn when all that is known.
  const mark = randomUuid()
  try {
    const json = toJson(schema, message)
    putMarks(schema, { message: message as unknown as Fields, json: json as Fields, mark })
    return assembled(JSON.stringify(json).split(mark), places)
  } finally {
    for (const { holder, name, bytes } of places) holder[name] = bytes
  }
}

/** The texts with the base64 of the bytes between them. */
function assembled(texts: readonly string[], places: readonly Place[]): Buffer {
  const lengthOf = (length: number) => 4 * Math.ceil(length / 3)
  const most = places.reduce((sum, { bytes }) => sum + lengthOf(bytes.length), 0)
  const whole = Buffer.allocUnsafe(texts.reduce((sum, text) => sum + Buffer.byteLength(text), most))
  let at = 0
  for (const [index, text] of texts.entries()) {
    at += whole.write(text, at)
    const bytes = places[index]?.bytes
    if (bytes === undefined) continue
    for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
      const piece = bytes.subarray(from, from + PIECE_BYTES)
      at += whole.write(Buffer.from(piece.buffer, piece.byteOffset, piece.length).toString('base64'), at, 'latin1')
    }
  }
  return whole
}

function takeBytes(schema: DescMessage, message: Fields, places: Place[]): void {
  for (const field of schema.fields) {
    const { holder, name } = placeOf(field, message)
    const value = holder?.[name]
    if (holder === undefined || value === undefined) continue
    if (field.fieldKind === 'message') takeBytes(field.message, value as Fields, places)
    else if (isBytes(field) && value instanceof Uint8Array && value.length >= MIN_BYTES) {
      places.push({ holder, name, bytes: value })
      holder[name] = PLACEHOLDER
    }
  }
}

/** In the order of `takeBytes`, which is that of the library, as messages declare their fields by number. */
function putMarks(schema: DescMessage, { message, json, mark }: Marking): void {
  for (const field of schema.fields) {
    const { holder, name } = placeOf(field, message)
    const value = holder?.[name]
    if (value === PLACEHOLDER) json[field.jsonName] = mark
    else if (field.fieldKind === 'message' && value !== undefined && isObject(json[field.jsonName]))
      putMarks(field.message, { message: value as Fields, json: json[field.jsonName] as Fields, mark })
  }
}

/** Where the value of a field is; no holder: another one of its oneof is set. */
function placeOf({ oneof, localName }: DescField, message: Fields): { holder: Fields | undefined; name: string } {
  if (oneof === undefined) return { holder: message, name: localName }
  const value = message[oneof.localName] as Fields | undefined
  return { holder: value?.['case'] === localName ? value : undefined, name: 'value' }
}

function isBytes(field: DescField): boolean {
  return field.fieldKind === 'scalar' && field.scalar === ScalarType.BYTES
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null
}
