import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Codec } from '../calls/message-frame.ts'
import type { TableMethod } from '../calls/service-table.ts'
import { RETRY_AFTER_SECONDS } from '../http/app/error-response.ts'
import { inflate } from '../http/body/inflate.ts'
import { raceAbort } from '../lib/race-abort.ts'
import type { CallDeps } from './call-deps.ts'
import { httpStatus, toAppError, wireError } from './call-error.ts'
import { abortWithClient } from './client-signal.ts'
import { abortAt, parseTimeout } from './deadline.ts'
import { checkEncoding, checkVersion, mediaType, singleHeader } from './guard.ts'
import { LEGACY_HEADER } from './legacy.ts'
import { requestCaller } from './request-caller.ts'
import { sendAnswer, type UnaryAnswer } from './unary-answer.ts'
import { callUnary } from './unary-call.ts'

/** The codec of a content type that `serveUnary` takes, undefined for all others. */
export function unaryCodec(contentType: string | undefined): Codec | undefined {
  const type = mediaType(contentType)
  if (type === 'application/json') return 'json'
  return type === 'application/proto' ? 'proto' : undefined
}

/** Serves one unary call in the Connect protocol (contract A22 to A27). */
export async function serveUnary(
  method: TableMethod,
  codec: Codec,
  http: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  deps: CallDeps,
): Promise<void> {
  const { request, reply } = http
  const started = performance.now()
  request.loggedElsewhere = true
  const operation = { id: request.id, method: method.name, started }
  const over = new AbortController()
  const detach = abortWithClient(reply.raw, over, deps.shutdown)
  const sending = { ...deps, request, reply, signal: over.signal }
  try {
    const { received, ...found } = await answer(method, codec, { ...deps, request, over, started })
    if (found.legacy) reply.header(LEGACY_HEADER, 'true')
    reply.type(`application/${codec}`)
    const cancel = found.rest === undefined ? undefined : abortAt(deadlineOf(request, started), over)
    const sent = await sendAnswer(found, sending).finally(cancel)
    deps.access.finished(operation, 'ok', { request_bytes: received, response_bytes: sent })
  } catch (error) {
    const known = toAppError(error, over.signal, deps.log)
    deps.access.finished(operation, wireError(known).code)
    // What was begun was cut off.
    if (reply.sent) return
    if (known.kind === 'budget_spent') reply.header('retry-after', RETRY_AFTER_SECONDS)
    reply
      .code(httpStatus(known))
      .type('application/json')
      .send(Buffer.from(JSON.stringify(wireError(known))))
  } finally {
    detach()
  }
}

function deadlineOf({ headers }: FastifyRequest, started: number): number | undefined {
  const timeout = parseTimeout(singleHeader(headers['connect-timeout-ms']))
  return timeout === undefined ? undefined : started + timeout
}

interface Call extends Pick<CallDeps, 'bodies' | 'budget'> {
  readonly request: FastifyRequest
  readonly over: AbortController
  readonly started: number
}

interface Answered extends UnaryAnswer {
  /** Bytes of the request's body as it came. */
  readonly received: number
}

async function answer(method: TableMethod, codec: Codec, call: Call): Promise<Answered> {
  const { request, over, started, bodies, budget } = call
  const { headers } = request
  checkVersion(singleHeader(headers['connect-protocol-version']))
  const encoding = headers['content-encoding']
  checkEncoding(encoding)
  const cancel = abortAt(deadlineOf(request, started), over)
  const { bytes: limit, kind } = method.limit
  const memory = bodies.memoryFor(request.raw, kind)
  try {
    const { signal } = over
    const body = await bodies.read(request.raw, { limit, memory, signal })
    const bytes = encoding === 'gzip' ? await inflate(body, { limit, memory, signal }) : body
    const caller = requestCaller(request, signal)
    const received = body.length
    if (bytes !== body) memory.free(body)
    return {
      ...(await raceAbort(callUnary(method, { bytes, codec, memory }, { caller, budget }), signal)),
      received,
    }
  } finally {
    // Input that still waits for a process was taken back.
    memory.release()
    cancel()
  }
}
