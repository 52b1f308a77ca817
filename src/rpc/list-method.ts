import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import type { HandlerContext } from '@connectrpc/connect'
import { createTurns, type Turns } from '../lib/turns.ts'
import type { Caller } from './caller.ts'
import { decodeMessage } from './decode-message.ts'
import { reducedFor } from './legacy.ts'
import { type Codec, encodeMessage } from './message-frame.ts'
import { callerOf } from './request-caller.ts'
import type { UnaryMethod } from './unary-route.ts'

/** Entries or events that are encoded before the clock is looked at; 1 ms at most. */
const BATCH = 100

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
 * everybody else.
 */
export function listMethod<I extends DescMessage, O extends DescMessage, T>(
  method: DescMethodUnary<I, O>,
  field: ListField<O, T>,
  run: ListItems<I, T>,
): UnaryMethod {
  return {
    name: `${method.parent.typeName}/${method.name}`,
    async call({ bytes, codec, memory }, caller) {
      const turns = createTurns()
      const items = run(await decodeMessage(method.input, bytes, { codec, memory, signal: caller.signal }), caller)
      const { parts, legacy } = await encoded({ method, field, codec, caller, turns }, items)
      return { body: await joined(codec === 'proto' ? parts : listOf(parts, field.name), turns), legacy }
    },
  }
}

/** The same method for the library's router. */
export function listHandler<I extends DescMessage, O extends DescMessage, T>(
  method: DescMethodUnary<I, O>,
  field: ListField<O, T>,
  run: ListItems<I, T>,
): (request: MessageShape<I>, context: HandlerContext) => Promise<MessageInitShape<O>> {
  const number = method.output.fields.find(({ jsonName }) => jsonName === field.name)?.number ?? 0
  return async (request, context) => {
    const caller = callerOf(context)
    const turns = createTurns()
    if (/json/i.test(context.requestHeader.get('content-type') ?? '')) {
      const items: T[] = []
      for await (const slice of slices(run(request, caller), BATCH)) items.push(...slice)
      return field.wrap(items)
    }
    const { parts } = await encoded({ method, field, codec: 'proto', caller, turns }, run(request, caller))
    const bytes = await joined(parts, turns)
    const answer = create(method.output)
    // Bytes of fields that a schema does not know are written as they are: the list is one such field, less its first tag.
    if (bytes.length > 0) answer.$unknown = [{ no: number, wireType: LENGTH_DELIMITED, data: bytes.subarray(1) }]
    return answer
  }
}

interface Encoding<I extends DescMessage, O extends DescMessage, T> {
  readonly method: DescMethodUnary<I, O>
  readonly field: ListField<O, T>
  readonly codec: Codec
  readonly caller: Caller
  readonly turns: Turns
}

/** Answers that are the whole one when they are put together; one at least. */
async function encoded<I extends DescMessage, O extends DescMessage, T>(
  { method, field, codec, caller, turns }: Encoding<I, O, T>,
  items: Promise<readonly T[]> | AsyncIterable<readonly T[]>,
): Promise<{ parts: Buffer[]; legacy: boolean }> {
  const parts: Buffer[] = []
  let legacy = false
  const encode = (slice: readonly T[]) => {
    const message = create(method.output, field.wrap(slice))
    legacy = reducedFor(caller.userAgent, method.parent.typeName, message)
    parts.push(encodeMessage(method.output, message, codec))
  }
  for await (const slice of slices(items, field.batch ?? BATCH)) {
    encode(slice)
    const wait = turns.next()
    if (wait !== undefined) await wait
    caller.signal.throwIfAborted()
  }
  if (parts.length === 0) encode([])
  return { parts, legacy }
}

async function* slices<T>(
  items: Promise<readonly T[]> | AsyncIterable<readonly T[]>,
  most: number,
): AsyncGenerator<readonly T[], void> {
  for await (const piece of Symbol.asyncIterator in items ? items : [await items])
    for (let at = 0; at < piece.length; at += most) yield piece.slice(at, at + most)
}

/** The parts of one JSON answer out of several: their lists put together. */
function listOf(parts: readonly Buffer[], field: string): readonly Buffer[] {
  if (parts.length === 1) return parts
  const [head, comma, tail] = [Buffer.from(`{"${field}":[`), Buffer.from(','), Buffer.from(']}')]
  const lists = parts.map((part) => part.subarray(head.length, part.length - tail.length))
  return [head, ...lists.flatMap((list, index) => (index === 0 ? [list] : [comma, list])), tail]
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
