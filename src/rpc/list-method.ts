import { setImmediate } from 'node:timers/promises'
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import type { Caller } from './caller.ts'
import { reducedFor } from './legacy.ts'
import { type Codec, encodeMessage } from './message-frame.ts'
import { decodeMessage } from './request-body.ts'
import type { UnaryMethod } from './unary-route.ts'

/** Entries or events that are encoded before other work gets a turn; about 1 ms. */
const BATCH = 500

/** Gives the one list that makes up an answer, and an answer with another list in it. */
export interface ListField<O extends DescMessage, T> {
  /** Name of the field in JSON. */
  readonly name: string
  /** Items that are encoded before other work gets a turn. Default: 500, which are small. */
  readonly batch?: number
  wrap(items: readonly T[]): MessageInitShape<O>
}

/**
 * Makes a UnaryMethod of a method whose answer is one list, which may be so long that encoding it at once would hold up
 * everybody else.
 */
export function listMethod<I extends DescMessage, O extends DescMessage, T>(
  method: DescMethodUnary<I, O>,
  field: ListField<O, T>,
  run: (request: MessageShape<I>, caller: Caller) => Promise<readonly T[]>,
): UnaryMethod {
  return {
    name: `${method.parent.typeName}/${method.name}`,
    async call(request, codec, caller) {
      const items = await run(decodeMessage(method.input, request, codec), caller)
      const batch = field.batch ?? BATCH
      const parts: Buffer[] = []
      let legacy = false
      for (let from = 0; from === 0 || from < items.length; from += batch) {
        if (from > 0) await setImmediate()
        caller.signal.throwIfAborted()
        const message = create(method.output, field.wrap(items.slice(from, from + batch)))
        legacy = reducedFor(caller.userAgent, method.parent.typeName, message)
        parts.push(encodeMessage(method.output, message, codec))
      }
      return { body: joined(parts, codec, field.name), legacy }
    },
  }
}

/** Messages one after the other are one message in the binary encoding; in JSON their lists have to be put together. */
function joined(parts: readonly Buffer[], codec: Codec, field: string): Buffer {
  const [only] = parts
  if (only !== undefined && parts.length === 1) return only
  if (codec === 'proto') return Buffer.concat(parts)
  const [head, comma, tail] = [Buffer.from(`{"${field}":[`), Buffer.from(','), Buffer.from(']}')]
  const lists = parts.map((part) => part.subarray(head.length, part.length - tail.length))
  return Buffer.concat([head, ...lists.flatMap((list, index) => (index === 0 ? [list] : [comma, list])), tail])
}
