import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import type { HandlerContext } from '@connectrpc/connect'
import type { ByteBudget, Hold } from '../budget/budget.ts'
import { createTurns, type Turns } from '../lib/turns.ts'
import type { Caller } from './caller.ts'
import { decodeMessage } from './decode-message.ts'
import { reducedFor } from './legacy.ts'
import { type Codec, encodeMessage } from './message-frame.ts'
import { onClosedKey } from './operation.ts'
import { callerOf } from './request-caller.ts'
import type { UnaryAnswer } from './unary-answer.ts'
import type { UnaryMethod } from './unary-route.ts'

/** Entries or events that are encoded before the clock is looked at; 1 ms at most. */
const BATCH = 50

/** Bytes that are written at once: a write costs as much as encoding some entries. */
const PIECE_BYTES = 32 * 1024

/** Longer answers are sent in pieces, each made when the client has taken the one before. */
const WHOLE_BYTES = 64 * 1024

/** What a list that is under way takes: an answer of `WHOLE_BYTES`, a batch as objects and as bytes, what the feature has read ahead. */
const LIST_BYTES = 256 * 1024

/** Copies of an answer that the library makes: the parts, the whole, the message, the envelope. */
const LIBRARY_COPIES = 4

/** An item as an object, which the library's JSON needs all of at once. */
const ITEM_BYTES = 2048

/** Wire type of what has its length before it (protobuf.dev/programming-guides/encoding). */
const LENGTH_DELIMITED = 2

/** Gives the one list that makes up an answer, and an answer with another list in it. */
export interface ListField<O extends DescMessage, T> {
  /** Name of the field in JSON. */
  readonly name: string
  /** Items that are encoded before the clock is looked at. Default: 100, which are small. */
  readonly batch?: number
  wrap(items: readonly T[]): MessageInitShape<O>
}

/** Answers a request with a list, whole or in pieces as they are found. */
export type ListItems<I extends DescMessage, T> = (
  request: MessageShape<I>,
  caller: Caller,
) => Promise<readonly T[]> | AsyncIterable<readonly T[]>

/**
 * Makes a UnaryMethod of a method whose answer is one list, which may be so long that encoding it at once would hold up
 * everybody else, and that it must not be in memory as a whole.
 */
export function listMethod<I extends DescMessage, O extends DescMessage, T>(
  method: DescMethodUnary<I, O>,
  field: ListField<O, T>,
  { run, budget }: { readonly run: ListItems<I, T>; readonly budget: ByteBudget },
): UnaryMethod {
  return {
    name: `${method.parent.typeName}/${method.name}`,
    async call({ bytes, codec, memory }, caller) {
      const message = await decodeMessage(method.input, bytes, { codec, memory, signal: caller.signal })
      const hold = listHold(budget, caller)
      hold.grow(LIST_BYTES)
      const encoding = { method, field, codec, caller, legacy: false }
      return begun(released(larger(pieces(encoding, run(message, caller))), hold), encoding)
    },
  }
}

/**
 * The same method for the library's router. The library has the whole answer in memory, several times; that is held until
 * the response closes.
 */
export function listHandler<I extends DescMessage, O extends DescMessage, T>(
  method: DescMethodUnary<I, O>,
  field: ListField<O, T>,
  { run, budget }: { readonly run: ListItems<I, T>; readonly budget: ByteBudget },
): (request: MessageShape<I>, context: HandlerContext) => Promise<MessageInitShape<O>> {
  const number = method.output.fields.find(({ jsonName }) => jsonName === field.name)?.number ?? 0
  return async (request, context) => {
    const caller = callerOf(context)
    const hold = listHold(budget, caller)
    context.values.get(onClosedKey)(() => hold.release())
    hold.grow(LIST_BYTES)
    if (/json/i.test(context.requestHeader.get('content-type') ?? '')) {
      const items: T[] = []
      for await (const slice of slices(run(request, caller), BATCH)) {
        hold.grow(slice.length * ITEM_BYTES)
        items.push(...slice)
      }
      return field.wrap(items)
    }
    const parts: Buffer[] = []
    for await (const part of pieces({ method, field, codec: 'proto', caller, legacy: false }, run(request, caller))) {
      hold.grow(part.length * LIBRARY_COPIES)
      parts.push(part)
    }
    const bytes = await joined(parts, createTurns())
    const answer = create(method.output)
    // Bytes of fields that a schema does not know are written as they are: the list is one such field, less its first tag.
    if (bytes.length > 0) answer.$unknown = [{ no: number, wireType: LENGTH_DELIMITED, data: bytes.subarray(1) }]
    return answer
  }
}

function listHold(budget: ByteBudget, { connection, user = '' }: Caller): Hold {
  return budget.hold('listing', { connection, user })
}

interface Encoding<I extends DescMessage, O extends DescMessage, T> {
  readonly method: DescMethodUnary<I, O>
  readonly field: ListField<O, T>
  readonly codec: Codec
  readonly caller: Caller
  /** Set when a piece was reduced for an old client. */
  legacy: boolean
}

/** The answer in pieces of bytes, one at least, which are the whole one when they are put together. */
async function* pieces<I extends DescMessage, O extends DescMessage, T>(
  encoding: Encoding<I, O, T>,
  items: Promise<readonly T[]> | AsyncIterable<readonly T[]>,
): AsyncGenerator<Buffer, void> {
  const { field, codec, caller } = encoding
  const turns = createTurns()
  const [head, tail] = [Buffer.from(`{"${field.name}":[`), Buffer.from(']}')]
  let empty = true
  for await (const slice of slices(items, field.batch ?? BATCH)) {
    const bytes = encoded(encoding, slice)
    await turns.next()
    caller.signal.throwIfAborted()
    if (codec === 'proto') yield bytes
    else if (bytes.length > head.length) {
      const list = bytes.subarray(head.length, bytes.length - tail.length)
      yield Buffer.concat([empty ? head : COMMA, list])
    } else continue
    empty = false
  }
  if (empty) yield encoded(encoding, [])
  else if (codec === 'json') yield tail
}

const COMMA = Buffer.from(',')

function encoded<I extends DescMessage, O extends DescMessage, T>(
  encoding: Encoding<I, O, T>,
  items: readonly T[],
): Buffer {
  const { method, field, codec, caller } = encoding
  const message = create(method.output, field.wrap(items))
  encoding.legacy = reducedFor(caller.userAgent, method.parent.typeName, message)
  return encodeMessage(method.output, message, codec)
}

/** The same bytes in fewer pieces. */
async function* larger(answer: AsyncGenerator<Buffer, void>): AsyncGenerator<Buffer, void> {
  let parts: Buffer[] = []
  let size = 0
  for await (const part of answer) {
    parts.push(part)
    size += part.length
    if (size < PIECE_BYTES) continue
    yield Buffer.concat(parts)
    parts = []
    size = 0
  }
  if (size > 0) yield Buffer.concat(parts)
}

/** The same pieces; the hold is released after the last one, or when nobody wants more. */
async function* released(answer: AsyncGenerator<Buffer, void>, hold: Hold): AsyncGenerator<Buffer, void> {
  try {
    yield* answer
  } finally {
    hold.release()
  }
}

/** A short answer as a whole; of a long one the beginning, and the rest to be sent as the client takes it. */
async function begun(
  answer: AsyncGenerator<Buffer, void>,
  state: { readonly caller: Caller; readonly legacy: boolean },
): Promise<UnaryAnswer> {
  const parts: Buffer[] = []
  for (let size = 0; size < WHOLE_BYTES; ) {
    const item = await answer.next()
    if (item.done) return { body: Buffer.concat(parts), legacy: state.legacy }
    parts.push(item.value)
    size += item.value.length
  }
  // Nobody would end it.
  if (state.caller.signal.aborted) await answer.return()
  state.caller.signal.throwIfAborted()
  return { body: Buffer.concat(parts), legacy: state.legacy, rest: answer }
}

async function* slices<T>(
  items: Promise<readonly T[]> | AsyncIterable<readonly T[]>,
  most: number,
): AsyncGenerator<readonly T[], void> {
  for await (const piece of Symbol.asyncIterator in items ? items : [await items])
    for (let at = 0; at < piece.length; at += most) yield piece.slice(at, at + most)
}

/** Messages one after the other are one message in the binary encoding. Megabytes take time to copy, too. */
async function joined(parts: readonly Buffer[], turns: Turns): Promise<Buffer> {
  const [only] = parts
  if (only !== undefined && parts.length === 1) return only
  const whole = Buffer.allocUnsafeSlow(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    at += part.copy(whole, at)
    const wait = turns.next()
    if (wait !== undefined) await wait
  }
  return whole
}
