import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf'
import type { ByteBudget, Hold } from '../budget/budget.ts'
import { growOrReserve } from '../budget/reserve.ts'
import type { Caller } from '../calls/caller.ts'
import { type Codec, encodeMessage } from '../calls/message-frame.ts'
import type { TableMethod } from '../calls/service-table.ts'
import { createTimeSlice } from '../lib/time-slice.ts'
import type { UnaryAnswer } from './unary-answer.ts'

/** Bytes that are written at once: a write costs as much as encoding some entries. */
const PIECE_BYTES = 32 * 1024

/** Longer answers are sent in pieces, each made when the client has taken the one before. */
const WHOLE_BYTES = 64 * 1024

/**
 * What a list that is under way takes: an answer of `WHOLE_BYTES`, a batch as objects and as bytes, what the feature
 * has read ahead.
 */
export const LIST_BYTES = 256 * 1024

/** Copies of a piece that are in memory at a time: as it was made, and with others. */
const COPIES = 2

/** Answers that have a part of the list each. */
type Parts = AsyncGenerator<MessageInitShape<DescMessage>, void>

/** How a list is encoded. */
interface ListEncoding extends Pick<TableMethod, 'reduce'> {
  /** JSON name of the field that is the list. */
  readonly field: string
  readonly output: DescMessage
  readonly codec: Codec
  readonly caller: Caller
}

/** A short list as a whole; of a long one the beginning, and the rest to be sent as the client takes it. */
export async function listAnswer(
  parts: Parts,
  { budget, ...encoding }: ListEncoding & { readonly budget: ByteBudget },
): Promise<UnaryAnswer> {
  const hold = listHold(budget, encoding.caller)
  const end = growOrReserve(budget, hold, LIST_BYTES)
  const release = () => {
    end()
    hold.release()
  }
  return begun(released(larger(sized(listPieces(parts, encoding), hold)), release), encoding)
}

/** Opens the hold of a list's memory in the budget. The caller releases it. */
export function listHold(budget: ByteBudget, { connection, user = '' }: Caller): Hold {
  return budget.hold('listing', { connection, user })
}

/** The answer in pieces of bytes, one at least, which are the whole one when they are put together. */
export async function* listPieces(parts: Parts, encoding: ListEncoding): AsyncGenerator<Buffer, void> {
  const { field, codec, caller } = encoding
  const slice = createTimeSlice()
  const head = Buffer.from(`{"${field}":[`)
  let empty = true
  let others: Buffer = NO_FIELDS
  for await (const part of parts) {
    const bytes = encoded(part, encoding)
    await slice.next()
    caller.signal.throwIfAborted()
    if (codec === 'proto') yield bytes
    else if (bytes.subarray(0, head.length).equals(head))
      yield Buffer.concat([empty ? head : COMMA, bytes.subarray(head.length, -CLOSING.length)])
    else {
      others = bytes
      continue
    }
    empty = false
  }
  if (codec === 'proto') {
    if (empty) yield encoded({}, encoding)
  } else if (empty) yield others
  else if (others.length === NO_FIELDS.length) yield CLOSING
  else yield Buffer.concat([Buffer.from('],'), others.subarray(1)])
}

const NO_FIELDS: Buffer = Buffer.from('{}')
const CLOSING = Buffer.from(']}')
const COMMA = Buffer.from(',')

function encoded(part: MessageInitShape<DescMessage>, { output, codec, reduce }: ListEncoding): Buffer {
  const message = create(output, part)
  reduce?.(message)
  return encodeMessage(output, message, codec)
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

/** The same pieces; `release` is called after the last one, or when the consumer ends early. */
async function* released(answer: AsyncGenerator<Buffer, void>, release: () => void): AsyncGenerator<Buffer, void> {
  try {
    yield* answer
  } finally {
    release()
  }
}

/** The same pieces; what is far longer than most, and waits for its client, is counted on its own. */
async function* sized(pieces: AsyncGenerator<Buffer, void>, hold: Hold): AsyncGenerator<Buffer, void> {
  for await (const piece of pieces) {
    const more = Math.max(0, piece.length - PIECE_BYTES) * COPIES
    hold.grow(more)
    yield piece
    hold.shrink(more)
  }
}

async function begun(
  answer: AsyncGenerator<Buffer, void>,
  { caller, reduce }: Pick<ListEncoding, 'caller' | 'reduce'>,
): Promise<UnaryAnswer> {
  const legacy = reduce !== undefined
  const parts: Buffer[] = []
  for (let size = 0; size < WHOLE_BYTES; ) {
    const item = await answer.next()
    if (item.done) return { body: Buffer.concat(parts), legacy }
    parts.push(item.value)
    size += item.value.length
  }
  // It is not handed on, so it is ended here.
  if (caller.signal.aborted) await answer.return()
  caller.signal.throwIfAborted()
  return { body: Buffer.concat(parts), legacy, rest: answer }
}
