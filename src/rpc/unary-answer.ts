import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { basicUsername } from '../http/access/basic-user.ts'
import { connectionOf } from '../http/server/connection.ts'
import { takeOver } from '../http/server/take-over.ts'
import { accepts } from '../lib/weighted-list.ts'
import type { CallDeps } from './call-deps.ts'
import { singleHeader } from './guard.ts'

/** What a unary call is answered with. */
export interface UnaryAnswer {
  /** All of it, or its beginning if there is a `rest`. */
  readonly body: Buffer
  /** Made as it is taken; the caller takes all of it or ends it. */
  readonly rest?: AsyncGenerator<Buffer, void>
  /** The answer was reduced for an old client. */
  readonly legacy: boolean
}

/** What an answer is sent with. */
interface AnswerContext extends Pick<CallDeps, 'budget' | 'compressors'> {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  /** Cuts off an answer that is sent in pieces. */
  readonly signal: AbortSignal
}

/** Below this gzip costs more than it saves. */
const MIN_GZIP_BYTES = 1024

/** Answers below this are not worth an account: the connection itself takes more. */
const MIN_HELD_BYTES = 4096

/**
 * Sends an answer, compressed if the client takes that and a compressor is free; a long one as the client takes it.
 * Resolves with the bytes before compression. Rejects with AppError `budget_spent` before anything was sent, or with
 * why an answer in pieces broke off, which has cut the connection.
 */
export async function sendAnswer({ body, rest }: UnaryAnswer, context: AnswerContext): Promise<number> {
  const { request, reply, compressors, signal } = context
  const zipped = body.length >= MIN_GZIP_BYTES && accepts(singleHeader(request.headers['accept-encoding']), 'gzip')
  if (rest === undefined) {
    holdWhole(body, context)
    const small = zipped ? await compressors.run(() => promisify(gzip)(body)) : undefined
    if (small !== undefined) reply.header('content-encoding', 'gzip')
    reply.send(small ?? body)
    return body.length
  }
  const tally = { bytes: 0 }
  const compressor = zipped ? compressors.take('gzip') : undefined
  if (compressor !== undefined) reply.header('content-encoding', 'gzip')
  const response = takeOver(reply)
  const all = counted(body, rest, tally)
  await (compressor === undefined
    ? pipeline(all, response, { signal })
    : pipeline(all, compressor, response, { signal }))
  return tally.bytes
}

/** Until the client has taken it or is gone. */
function holdWhole({ length }: Buffer, { request, reply, budget }: AnswerContext): void {
  if (length < MIN_HELD_BYTES) return
  const user = basicUsername(request.headers.authorization) ?? ''
  const hold = budget.hold('frame', { connection: connectionOf(request.raw), user })
  hold.grow(length)
  if (reply.raw.destroyed) hold.release()
  else reply.raw.once('close', () => hold.release())
}

async function* counted(
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
