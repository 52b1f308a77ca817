import { create, type DescMessage, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf'
import type { HandlerContext } from '@connectrpc/connect'
import type { ByteBudget } from '../budget/budget.ts'
import type { List } from '../calls/implementation.ts'
import type { TableMethod } from '../calls/service-table.ts'
import { createTimeSlice, type TimeSlice } from '../lib/time-slice.ts'
import { reducing } from './legacy.ts'
import { LIST_BYTES, listHold, listPieces } from './list-answer.ts'
import { onClosedKey } from './operation.ts'
import { callerOf } from './request-caller.ts'

/** Copies of an answer that the library makes: the parts, the whole, the message, the envelope. */
const LIBRARY_COPIES = 4

/** An item as an object, which the library's JSON needs all of at once. */
const ITEM_BYTES = 2048

/** Wire type of what has its length before it (protobuf.dev/programming-guides/encoding). */
const LENGTH_DELIMITED = 2

type Handler = (request: MessageShape<DescMessage>, context: HandlerContext) => Promise<MessageInitShape<DescMessage>>

/**
 * Answers a list for the library's router. The library has the whole answer in memory, several times; that is held
 * until the response closes.
 */
export function listHandler(method: TableMethod, { field, parts }: List, budget: ByteBudget): Handler {
  const { output } = method.description
  const number = output.fields.find(({ jsonName }) => jsonName === field)?.number ?? 0
  return async (request, context) => {
    const caller = callerOf(context)
    const hold = listHold(budget, caller)
    context.values.get(onClosedKey)(() => hold.release())
    hold.grow(LIST_BYTES)
    if (/json/i.test(context.requestHeader.get('content-type') ?? ''))
      return { [field]: await allItems(parts(request, caller), field, (bytes) => hold.grow(bytes)) }
    const encoding = { field, output, codec: 'proto', caller, reduce: reducing(method, caller) } as const
    const pieces: Buffer[] = []
    for await (const piece of listPieces(parts(request, caller), encoding)) {
      hold.grow(piece.length * LIBRARY_COPIES)
      pieces.push(piece)
    }
    const bytes = await joined(pieces, createTimeSlice())
    const answer = create(output)
    // Bytes of fields that a schema does not know are written as they are: the list is one such field, less its first
    // tag.
    if (bytes.length > 0) answer.$unknown = [{ no: number, wireType: LENGTH_DELIMITED, data: bytes.subarray(1) }]
    return answer
  }
}

async function allItems(
  parts: AsyncIterable<MessageInitShape<DescMessage>>,
  field: string,
  grow: (bytes: number) => void,
): Promise<unknown[]> {
  const all: unknown[] = []
  for await (const part of parts) {
    const items: unknown = Reflect.get(part, field)
    if (!Array.isArray(items)) continue
    grow(items.length * ITEM_BYTES + lengthOf(items) * LIBRARY_COPIES)
    all.push(...items)
  }
  return all
}

/** Characters of all texts within. */
function lengthOf(value: unknown): number {
  if (typeof value === 'string') return value.length
  if (typeof value !== 'object' || value === null) return 0
  let length = 0
  for (const [name, item] of Object.entries(value)) length += name.length + lengthOf(item)
  return length
}

/** Messages one after the other are one message in the binary encoding. Megabytes take time to copy, too. */
async function joined(parts: readonly Buffer[], slice: TimeSlice): Promise<Buffer> {
  const [only] = parts
  if (only !== undefined && parts.length === 1) return only
  const whole = Buffer.allocUnsafeSlow(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    at += part.copy(whole, at)
    const wait = slice.next()
    if (wait !== undefined) await wait
  }
  return whole
}
