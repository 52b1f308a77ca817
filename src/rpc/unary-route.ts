import type { Memory } from '../budget/memory.ts'
import type { Codec } from '../calls/message-frame.ts'
import type { TableMethod } from '../calls/service-table.ts'
import type { AppError } from '../errors.ts'
import { RETRY_AFTER_SECONDS } from '../http/app/error-response.ts'
import { inflate } from '../http/body/inflate.ts'
import { loopTurns } from '../lib/turns.ts'
import type { CallDeps } from './call-deps.ts'
import { CallEnd } from './call-end.ts'
import { httpStatus, toAppError, wireError } from './call-error.ts'
import { abortWithClient } from './client-signal.ts'
import { abortAt, parseTimeout } from './deadline.ts'
import { checkEncoding, checkVersion, mediaType, singleHeader } from './guard.ts'
import { LEGACY_HEADER } from './legacy.ts'
import { awaitArrival, type CallExchange, type CallRequest, requestCaller } from './request-caller.ts'
import type { RawResponse } from './stream-writer.ts'
import { endWhole, sendAnswer, type UnaryAnswer } from './unary-answer.ts'
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
  { request, response, since }: CallExchange,
  deps: CallDeps,
): Promise<void> {
  const started = performance.now()
  const operation = { id: request.id, method: method.name, started }
  const over = new CallEnd(since)
  const detach = abortWithClient(response, over, deps.shutdown)
  try {
    const { found, received } = await answer(method, codec, { deps, request, over, started })
    if (found.legacy) response.setHeader(LEGACY_HEADER, 'true')
    response.setHeader('content-type', `application/${codec}`)
    const sent = await send(found, { deps, request, response, over, started })
    deps.access.finished(operation, 'ok', { request_bytes: received, response_bytes: sent })
  } catch (error) {
    // What ends one call may end thousands.
    await loopTurns.turn(response)
    const known = toAppError(error, over, deps.log)
    deps.access.finished(operation, wireError(known).code)
    refuse(response, known)
  } finally {
    detach()
  }
}

/** Answers with an error, unless an answer was begun: that was cut off. */
function refuse(response: RawResponse, error: AppError): void {
  if (response.headersSent || response.destroyed) return
  if (error.kind === 'budget_spent') response.setHeader('retry-after', RETRY_AFTER_SECONDS)
  response.removeHeader('content-encoding')
  response.statusCode = httpStatus(error)
  response.setHeader('content-type', 'application/json')
  endWhole(response, JSON.stringify(wireError(error)))
}

/** Sends what was found; a long answer is cut off at the call's deadline. */
async function send(found: UnaryAnswer, call: Call & { readonly response: RawResponse }): Promise<number> {
  const { deps, request, response, over, started } = call
  const { budget, compressors } = deps
  const context = { budget, compressors, request, response, call: over }
  if (found.rest === undefined) return sendAnswer(found, context)
  return sendAnswer(found, context).finally(abortAt(deadlineOf(request, started), over))
}

function deadlineOf({ headers }: CallRequest, started: number): number | undefined {
  const timeout = parseTimeout(singleHeader(headers['connect-timeout-ms']))
  return timeout === undefined ? undefined : started + timeout
}

interface Call {
  readonly deps: Pick<CallDeps, 'bodies' | 'budget' | 'compressors'>
  readonly request: CallRequest
  readonly over: CallEnd
  readonly started: number
}

interface Answered {
  readonly found: UnaryAnswer
  /** Bytes of the request's body as it came. */
  readonly received: number
}

/** How a body is read and decoded; its signal is made when it is asked for (`RequestCaller`). */
class Reading {
  readonly codec: Codec
  readonly limit: number
  readonly memory: Memory
  readonly #over: CallEnd

  constructor({ codec, limit, memory }: Pick<Reading, 'codec' | 'limit' | 'memory'>, over: CallEnd) {
    this.codec = codec
    this.limit = limit
    this.memory = memory
    this.#over = over
  }

  get signal(): AbortSignal {
    return this.#over.signal
  }
}

async function answer(method: TableMethod, codec: Codec, call: Call): Promise<Answered> {
  const { request, over, started, deps } = call
  const { bodies, budget } = deps
  const { headers } = request
  checkVersion(singleHeader(headers['connect-protocol-version']))
  const encoding = headers['content-encoding']
  checkEncoding(encoding)
  const cancel = abortAt(deadlineOf(request, started), over)
  const { bytes: limit, kind } = method.limit
  const memory = bodies.memoryFor(request.raw, kind)
  try {
    const read = new Reading({ codec, limit, memory }, over)
    await awaitArrival(request, over)
    const body = await bodies.read(request.raw, read)
    if (over.aborted) throw over.reason
    const bytes = encoding === 'gzip' ? await inflate(body, read) : body
    const caller = requestCaller(request, over)
    const received = body.length
    if (bytes !== body) memory.free(body)
    const found = await over.race(callUnary(method, { bytes, how: read }, { caller, budget }))
    return { found, received }
  } finally {
    // Input that still waits for a process was taken back.
    memory.release()
    cancel()
  }
}
