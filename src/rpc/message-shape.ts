import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf'
import { EVERYTHING, type Shape } from '../json/shape.ts'

/** Variables of a command cost eight times what its arguments do: objects of many names are slow to build. */
const MAP_ENTRY_WEIGHT = 8

const LEAF: Shape = { ...EVERYTHING, member: () => undefined, item: undefined }
const BYTES: Shape = { ...LEAF, bytes: true }
const ENTRY: Shape = { ...LEAF, weight: MAP_ENTRY_WEIGHT }

const shapes = new WeakMap<DescMessage, Shape>()

/** What of a JSON text is of use for a message: its fields, by either of their names. */
export function shapeOf(message: DescMessage): Shape {
  const known = shapes.get(message)
  if (known !== undefined) return known
  const fields = new Map(message.fields.flatMap((field) => namesOf(field).map((name) => [name, field] as const)))
  const shape: Shape = {
    ...LEAF,
    member: (name) => {
      const field = fields.get(name)
      return field === undefined ? undefined : shapeOfField(field)
    },
  }
  shapes.set(message, shape)
  return shape
}

function namesOf({ name, jsonName }: DescField): readonly string[] {
  return [name, jsonName]
}

function shapeOfField(field: DescField): Shape {
  switch (field.fieldKind) {
    case 'scalar':
      return field.scalar === ScalarType.BYTES ? BYTES : LEAF
    case 'enum':
      return LEAF
    case 'message':
      return messageShape(field.message)
    case 'list':
      return { ...LEAF, item: field.listKind === 'message' ? messageShape(field.message) : LEAF }
    case 'map': {
      const value = field.mapKind === 'message' ? messageShape(field.message) : ENTRY
      return { ...LEAF, member: () => value }
    }
  }
}

/** The well-known types have forms of their own in JSON, all of them small. */
function messageShape(message: DescMessage): Shape {
  return message.typeName.startsWith('google.protobuf.') ? EVERYTHING : shapeOf(message)
}
