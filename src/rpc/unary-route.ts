import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Memory } from '../budget/memory.ts'
import { basicUsername } from '../http/access/basic-user.ts'
import { RETRY_AFTER_SECONDS } from '../http/app/error-response.ts'
import { inflate } from '../http/body/inflate.ts'
import type { RequestBodies } from '../http/body/request-bodies.ts'
import { connectionOf } from '../http/server/connection.ts'
import { unlessAborted } from '../lib/unless-aborted.ts'
import { EXCLUDE_HEADER } from '../watch/exclude-header.ts'
import { httpStatus, toAppError, wireError } from './call-error.ts'
import type { Caller } from './caller.ts'
import { abortWithClient } from './client-signal.ts'
import { abortAt, parseTimeout } from './deadline.ts'
import { decodeMessage } from './decode-message.ts'
import { checkEncoding, checkVersion, mediaType, singleHeader } from './guard.ts'
import { LEGACY_HEADER, reducedFor } from './legacy.ts'
import { type Codec, encodeMessage } from './message-frame.ts'
import { messageLimit } from './message-limits.ts'
import type { CallDeps } from './stream-route.ts'
import { sendAnswer, type UnaryAnswer } from './unary-answer.ts'

/** A unary method, ready to be called with bytes. */
export interface UnaryMethod {
  /** `package.Service/Method`. */
  readonly name: string
  /** Decodes, calls, encodes. Rejects with AppError. */
  call(request: RequestBytes, caller: Caller): Promise<UnaryAnswer>
}

/** A request as it came, inflated, and the memory that it may take. */
export interface RequestBytes {
  readonly bytes: Buffer
  readonly codec: Codec
  readonly memory: Memory
}

/** Makes a UnaryMethod of a method's description and the function that answers it. */
export function unaryMethod<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  run: (request: MessageShape<I>, caller: Caller) => MessageInitShape<O> | Promise<MessageInitShape<O>>,
): UnaryMethod {
  return {
    name: `${method.parent.typeName}/${method.name}`,
    async call({ bytes, codec, memory }, caller) {
      const request = await decodeMessage(method.input, bytes, { codec, memory, signal: caller.signal })
      const answer = create(method.output, await run(request, caller))
      const legacy = reducedFor(caller.userAgent, method.parent.typeName, answer)
      return { body: encodeMessage(method.output, answer, codec), legacy }
    },
  }
}

/** The codec of a content type that `serveUnary` takes, undefined for all others. */
export function unaryCodec(contentType: string | undefined): Codec | undefined {
  const type = mediaType(contentType)
  if (type === 'application/json') return 'json'
  return type === 'application/proto' ? 'proto' : undefined
}

/** Serves one unary call in the Connect protocol (contract A22 to A27). */
export async function serveUnary(
  method: UnaryMethod,
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
    const { received, ...found } = await answer(method, codec, { request, over, started, bodies: deps.bodies })
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

interface Call {
  readonly request: FastifyRequest
  readonly over: AbortController
  readonly started: number
  readonly bodies: RequestBodies
}

interface Answered extends UnaryAnswer {
  /** Bytes of the request's body as it came. */
  readonly received: number
}

async function answer(method: UnaryMethod, codec: Codec, call: Call): Promise<Answered> {
  const { request, over, started, bodies } = call
  const { headers } = request
  checkVersion(singleHeader(headers['connect-protocol-version']))
  const encoding = headers['content-encoding']
  checkEncoding(encoding)
  const cancel = abortAt(deadlineOf(request, started), over)
  const { bytes: limit, kind } = messageLimit(method.name)
  const memory = bodies.memoryFor(request.raw, kind)
  try {
    const { signal } = over
    const body = await bodies.read(request.raw, { limit, memory, signal })
    const bytes = encoding === 'gzip' ? await inflate(body, { limit, memory, signal }) : body
    const caller = {
      user: basicUsername(headers.authorization),
      userAgent: headers['user-agent'] ?? '',
      watchExclude: singleHeader(headers[EXCLUDE_HEADER]),
      signal,
      connection: connectionOf(request.raw),
      operationId: request.id,
    }
    const received = body.length
    if (bytes !== body) memory.free(body)
    return { ...(await unlessAborted(method.call({ bytes, codec, memory }, caller), signal)), received }
  } finally {
    // Input that still waits for a process was taken back.
    memory.release()
    cancel()
  }
}
