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

/** Bytes of an item as an object: for JSON the library has all items as objects at once. */
const ITEM_BYTES = 2048

type Handler = (request: MessageShape<DescMessage>, context: HandlerContext) => Promise<MessageInitShape<DescMessage>>

/**
 * Answers a list for the library's router. The library has the whole answer in memory, several times; that is held
 * until the response closes.
 */
export function listHandler(method: TableMethod, { field, parts }: List, budget: ByteBudget): Handler {
  const { output } = method.description
  return async (request, context) => {
    const caller = callerOf(context)
    const hold = listHold(budget, caller)
    context.values.get(onClosedKey)(() => hold.release())
    hold.grow(LIST_BYTES)
    if (/json/i.test(context.requestHeader.get('content-type') ?? ''))
      return joinedParts(parts(request, caller), field, (bytes) => hold.grow(bytes))
    const encoding = { field, output, codec: 'proto', caller, reduce: reducing(method, caller) } as const
    const pieces: Buffer[] = []
    for await (const piece of listPieces(parts(request, caller), encoding)) {
      hold.grow(piece.length * LIBRARY_COPIES)
      pieces.push(piece)
    }
    const bytes = await joined(pieces, createTimeSlice())
    const answer = create(output)
    // Bytes of fields that a schema does not know are written as they are: all of it is one such field, less the first
    // tag, which is one byte for fields up to 15.
    const tag = bytes[0]
    if (tag !== undefined) answer.$unknown = [{ no: tag >>> 3, wireType: tag & 7, data: bytes.subarray(1) }]
    return answer
  }
}

async function joinedParts(
  parts: AsyncIterable<MessageInitShape<DescMessage>>,
  field: string,
  grow: (bytes: number) => void,
): Promise<MessageInitShape<DescMessage>> {
  const all: unknown[] = []
  let others = {}
  for await (const part of parts) {
    const items: unknown = Reflect.get(part, field)
    if (!Array.isArray(items)) {
      others = part
      continue
    }
    grow(items.length * ITEM_BYTES + lengthOf(items) * LIBRARY_COPIES)
    all.push(...items)
  }
  return { ...others, [field]: all }
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
