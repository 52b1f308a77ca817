import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import { freeNow } from '../budget/memory.ts'
import { holdAnswer } from '../http/server/hold-answer.ts'
import { accepts } from '../lib/weighted-list.ts'
import type { CallDeps } from './call-deps.ts'
import { singleHeader } from './guard.ts'
import type { CallRequest } from './request-caller.ts'
import type { RawResponse } from './stream-writer.ts'

/** What a unary call is answered with. */
export interface UnaryAnswer {
  /** All of it, as bytes or as text, or its beginning as bytes if there is a `rest`. */
  readonly body: Buffer | string
  /** Made as it is taken; the caller takes all of it or ends it. */
  readonly rest?: AsyncGenerator<Buffer, void>
  /** The answer was reduced for an old client. */
  readonly legacy: boolean
}

/** What an answer is sent with. */
interface AnswerContext extends Pick<CallDeps, 'budget' | 'compressors'> {
  readonly request: CallRequest
  /** Nothing of it was sent; it has its other headers. */
  readonly response: RawResponse
  /** Cuts off an answer that is sent in pieces. */
  readonly call: { readonly signal: AbortSignal }
}

/** Below this gzip costs more than it saves. */
const MIN_GZIP_BYTES = 1024

/**
 * Sends an answer, compressed if the client takes that and a compressor is free; a long one as the client takes it.
 * Resolves with the bytes before compression. Rejects with AppError `budget_spent` before anything was sent, or with
 * why an answer in pieces broke off, which has cut the connection.
 */
export async function sendAnswer({ body, rest }: UnaryAnswer, context: AnswerContext): Promise<number> {
  const { request, response, compressors } = context
  const bytes = Buffer.byteLength(body)
  const zipped = bytes >= MIN_GZIP_BYTES && accepts(singleHeader(request.headers['accept-encoding']), 'gzip')
  if (rest !== undefined) return sendPieces(counted(Buffer.from(body), rest), zipped, context)
  holdAnswer(bytes, { request: request.raw, response, budget: context.budget })
  // Over HTTP/2 it may still be in the queue of its connection then.
  if (typeof body !== 'string' && request.raw.httpVersionMajor === 1) response.once('finish', () => freeNow(body))
  const small = zipped ? await compressors.run(() => promisify(gzip)(body)) : undefined
  if (small !== undefined) response.setHeader('content-encoding', 'gzip')
  endWhole(response, small ?? body)
  return bytes
}

/** Ends a response with a body that is all there. Short texts leave in one write with the headers. */
export function endWhole(response: RawResponse, body: Buffer | string): void {
  if (response.destroyed) return
  response.setHeader('content-length', Buffer.byteLength(body))
  response.end(body)
}

interface Pieces {
  readonly pieces: AsyncGenerator<Buffer, void>
  /** Bytes that the client has taken. */
  readonly tally: { readonly bytes: number }
}

async function sendPieces({ pieces, tally }: Pieces, zipped: boolean, context: AnswerContext): Promise<number> {
  const { response, compressors } = context
  const { signal } = context.call
  const compressor = zipped ? compressors.take('gzip') : undefined
  if (compressor !== undefined) response.setHeader('content-encoding', 'gzip')
  await (compressor === undefined
    ? pipeline(pieces, response, { signal })
    : pipeline(pieces, compressor, response, { signal }))
  return tally.bytes
}

function counted(first: Buffer, rest: AsyncGenerator<Buffer, void>): Pieces {
  const tally = { bytes: 0 }
  return { pieces: tallied(first, rest, tally), tally }
}

async function* tallied(
  first: Buffer,
  rest: AsyncGenerator<Buffer, void>,
  tally: { bytes: number },
): AsyncGenerator<Buffer, void> {
  tally.bytes = first.length
  try {
    yield first
    for await (const piece of rest) {
      tally.bytes += piece.length
      yield piece
    }
  } finally {
    await rest.return()
  }
}
