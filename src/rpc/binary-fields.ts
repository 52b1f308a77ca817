import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'

/** Wire types (protobuf.dev/programming-guides/encoding). */
export const WIRE = { VARINT: 0, FIXED64: 1, DELIMITED: 2, GROUP: 3, END_GROUP: 4, FIXED32: 5 } as const

/** What matters of a field to who walks over its bytes. */
export interface BinaryField {
  readonly wireType: number
  /** The fields of the message that it holds. */
  readonly fields: () => BinaryFields | undefined
  readonly text: boolean
  /** Numbers of it may stand one after the other in a delimited field. */
  readonly packable: boolean
}

/** By number. */
export type BinaryFields = ReadonlyMap<number, BinaryField>

const tables = new WeakMap<DescMessage, BinaryFields>()

/** The fields of a message. */
export function binaryFields(message: DescMessage): BinaryFields {
  let table = tables.get(message)
  if (table === undefined) {
    table = new Map(message.fields.map((field) => [field.number, binaryField(field)]))
    tables.set(message, table)
  }
  return table
}

function binaryField(field: DescField): BinaryField {
  if (field.fieldKind === 'map') {
    const value = field.mapKind === 'message' ? ofMessage(field.message) : ofScalar(field.scalar ?? ScalarType.INT32)
    const entry = new Map([
      [1, ofScalar(field.mapKey)],
      [2, value],
    ])
    return { wireType: WIRE.DELIMITED, fields: () => entry, text: false, packable: false }
  }
  if (field.message !== undefined) return ofMessage(field.message)
  const scalar = ofScalar(field.scalar ?? ScalarType.INT32)
  return { ...scalar, packable: field.fieldKind === 'list' && scalar.wireType !== WIRE.DELIMITED }
}

function ofMessage(message: DescMessage): BinaryField {
  return { wireType: WIRE.DELIMITED, fields: () => binaryFields(message), text: false, packable: false }
}

function ofScalar(scalar: ScalarType): BinaryField {
  return { wireType: wireTypeOf(scalar), fields: () => undefined, text: scalar === ScalarType.STRING, packable: false }
}

function wireTypeOf(scalar: ScalarType): number {
  switch (scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return WIRE.DELIMITED
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return WIRE.FIXED64
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return WIRE.FIXED32
    default:
      return WIRE.VARINT
  }
}
