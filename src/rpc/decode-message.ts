import { setImmediate } from 'node:timers/promises'
import {
  type DescMessage,
  fromBinary,
  fromJson,
  fromJsonString,
  type JsonValue,
  type MessageShape,
} from '@bufbuild/protobuf'
import { type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect'
import type { Memory } from '../budget/memory.ts'
import type { Codec } from '../calls/message-frame.ts'
import { AppError } from '../errors.ts'
import { readJson } from '../json/read-json.ts'
import type { JsonLimits } from '../json/shape.ts'
import type { Json } from '../json/tree.ts'
import { fromUtf8 } from '../lib/utf8.ts'
import { checkBinary } from './binary-limits.ts'
import { shapeOf } from './message-shape.ts'

/** Up to this size a JSON text is parsed at once: whatever it says takes a few milliseconds. */
export const SMALL_JSON = 16 * 1024

/**
 * Larger ones take a turn of the event loop of their own: what is done with so many values takes as long as to decode
 * them.
 */
const SMALL_MESSAGE = 64 * 1024

/** Objects within each other: messages have six at most. */
const MAX_DEPTH = 32

/**
 * Values of a message, by weight: 64 k arguments or 8 k variables of a command. The kernel takes no more than 6 MiB of
 * both; a message with so many is decoded in 30 ms.
 */
const MAX_VALUES = 64 * 1024

/** Bytes of text in a message: execve(2) takes no more than that of arguments and variables. */
const MAX_TEXT = 6 * 1024 * 1024

/** What a message may have. */
export const MESSAGE_LIMITS: JsonLimits = { depth: MAX_DEPTH, values: MAX_VALUES, text: MAX_TEXT }

/** How a message came, and on whose account it is decoded. */
export interface DecodeOptions {
  readonly codec: Codec
  readonly memory: Memory
  /** Asked for only where decoding waits. */
  readonly signal: AbortSignal
  /** Limits of JSON; default: `MESSAGE_LIMITS`. */
  readonly limits?: JsonLimits
}

/**
 * Reads a message, leniently in JSON: unknown fields and enum names are skipped, nothing at all is an empty message.
 * The work is bounded whatever the bytes say, and long texts are read in turns. Bytes in the message may be views of
 * `bytes`, which may be overwritten. Rejects with AppError `invalid_argument` (contract A23), `too_large` for more
 * values than are allowed, and with the signal's reason.
 */
export async function decodeMessage<I extends DescMessage>(
  schema: I,
  bytes: Buffer,
  options: DecodeOptions,
): Promise<MessageShape<I>> {
  const { codec, memory, limits = MESSAGE_LIMITS } = options
  try {
    if (codec === 'proto') {
      checkMessage(schema, bytes)
      const decoded = fromBinary(schema, bytes, { readUnknownFields: false })
      if (bytes.length > SMALL_MESSAGE) await setImmediate()
      return decoded
    }
    if (bytes.length <= SMALL_JSON) {
      return fromJsonString(schema, bytes.length === 0 ? '{}' : fromUtf8(bytes), { ignoreUnknownFields: true })
    }
    // Bytes are decoded in place; its texts are there once more while it is built.
    memory.count(Math.min(bytes.length, MAX_TEXT))
    const tree = await readJson(bytes, shapeOf(schema), { limits, signal: options.signal })
    await setImmediate()
    const message = fromTree(schema, tree)
    await setImmediate()
    return message
  } catch (error) {
    if (error instanceof AppError) throw error
    const why = error instanceof Error ? error.message : 'malformed'
    throw new AppError('invalid_argument', `unmarshal message: ${why}`, { cause: error })
  }
}

/** Throws AppError where `decodeMessage` would for a message in the binary encoding, without building it. */
export function checkMessage(schema: DescMessage, bytes: Uint8Array): void {
  checkBinary(schema, bytes, MESSAGE_LIMITS)
}

function fromTree<I extends DescMessage>(schema: I, tree: Json): MessageShape<I> {
  const lifted = new Map<Json, Map<string, Uint8Array>>()
  const message = fromJson(schema, withoutBytes(tree, lifted), { ignoreUnknownFields: true })
  if (lifted.size > 0) putBytes(reflect(schema, message), tree, lifted)
  return message
}

/** Puts an empty text where there are bytes: the library knows base64 only, and is slow at it. Changes the tree. */
function withoutBytes(tree: Json, lifted: Map<Json, Map<string, Uint8Array>>): JsonValue {
  if (isObject(tree)) {
    for (const [name, value] of Object.entries(tree)) {
      if (value instanceof Uint8Array) {
        lifted.set(tree, (lifted.get(tree) ?? new Map()).set(name, value))
        tree[name] = ''
      } else if (isObject(value)) withoutBytes(value, lifted)
    }
  }
  // Bytes in lists, which no request has, are refused by the library.
  return tree as JsonValue
}

function putBytes(message: ReflectMessage, tree: Json, lifted: Map<Json, Map<string, Uint8Array>>): void {
  if (!isObject(tree)) return
  for (const field of message.fields) {
    const name = field.jsonName in tree ? field.jsonName : field.name
    const bytes = lifted.get(tree)?.get(name)
    if (bytes !== undefined) message.set(field, bytes)
    else if (field.fieldKind === 'message' && message.isSet(field))
      putBytes(message.get(field), tree[name] ?? null, lifted)
  }
}

function isObject(value: Json): value is { [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)
}
