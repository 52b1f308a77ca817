import type { DescMessage, MessageShape } from '@bufbuild/protobuf'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ByteBudget } from '../budget/budget.ts'
import { basicUsername } from '../http/access/basic-user.ts'
import type { RequestBodies } from '../http/body/request-bodies.ts'
import { connectionOf } from '../http/server/connection.ts'
import type { Compressors } from '../http/transfer/compressors.ts'
import type { Log } from '../log.ts'
import { EXCLUDE_HEADER } from '../watch/exclude-header.ts'
import type { AccessLog } from './access-log.ts'
import { toAppError, wireError } from './call-error.ts'
import type { StreamCaller } from './caller.ts'
import { abortWithClient } from './client-signal.ts'
import { abortAt, parseTimeout } from './deadline.ts'
import { decodeMessage } from './decode-message.ts'
import { ENVELOPE_BYTES, endOfStream, onlyMessage } from './envelope.ts'
import { checkEncoding, checkVersion, mediaType, singleHeader } from './guard.ts'
import { keepaliveInterval } from './keepalive.ts'
import type { Codec } from './message-frame.ts'
import { messageLimit } from './message-limits.ts'
import { endWith, type RawResponse, writeFrames } from './stream-writer.ts'

/** A stream that is under way. */
export interface OpenStream {
  /** Envelopes, ready to be sent. A failure ends the stream with its error. */
  readonly frames: AsyncIterable<Uint8Array>
  /** Aborts when the stream must end even though its client does not read. */
  readonly ended: AbortSignal
  readonly headers?: Readonly<Record<string, string>>
  /** Told of every frame that was sent. */
  readonly sent?: (frame: Uint8Array) => void
}

/** A server-streaming method that is served here, not by the library: its frames are made without messages. */
export interface StreamMethod<I extends DescMessage = DescMessage> {
  /** `package.Service/Method`. */
  readonly name: string
  readonly input: I
  open(request: MessageShape<I>, caller: StreamCaller, codec: Codec): Promise<OpenStream>
}

/** What every call needs. */
export interface CallDeps {
  readonly log: Log
  readonly budget: ByteBudget
  readonly compressors: Compressors
  readonly access: AccessLog
  readonly bodies: RequestBodies
  /** Aborts, with an AppError, when the daemon stops. */
  readonly shutdown: AbortSignal
}

/** The codec of a content type that `serveStream` takes, undefined for all others. */
export function streamCodec(contentType: string | undefined): Codec | undefined {
  const type = mediaType(contentType)
  if (type === 'application/connect+json') return 'json'
  return type === 'application/connect+proto' ? 'proto' : undefined
}

/**
 * Serves one call of a streaming method in the Connect protocol, over either HTTP version. Every failure travels in the
 * last frame (contract D13), and there always is a last frame, unless the client has gone.
 */
export async function serveStream(
  method: StreamMethod,
  codec: Codec,
  http: { readonly request: FastifyRequest; readonly reply: FastifyReply },
  deps: CallDeps,
): Promise<void> {
  const started = performance.now()
  const { request } = http
  request.loggedElsewhere = true
  const operation = { id: request.id, method: method.name, started }
  const sent = { bytes: 0 }
  deps.access.streamStarted(operation)
  const response: RawResponse = http.reply.raw
  http.reply.hijack()
  const over = new AbortController()
  const detach = abortWithClient(response, over, deps.shutdown)
  try {
    await run(method, { codec, request, response, over, started, sent, bodies: deps.bodies })
    endWith(response, endOfStream())
    deps.access.finished(operation, 'ok', { response_bytes: sent.bytes })
  } catch (error) {
    const known = wireError(toAppError(error, over.signal, deps.log))
    writeHead(response, codec)
    endWith(response, endOfStream(known))
    deps.access.finished(operation, known.code, { response_bytes: sent.bytes })
  } finally {
    detach()
  }
}

interface Call {
  readonly codec: Codec
  readonly request: FastifyRequest
  readonly response: RawResponse
  readonly over: AbortController
  readonly started: number
  readonly sent: { bytes: number }
  readonly bodies: RequestBodies
}

async function run(method: StreamMethod, call: Call): Promise<void> {
  const { headers } = call.request
  const timeout = parseTimeout(singleHeader(headers['connect-timeout-ms']))
  const deadline = timeout === undefined ? undefined : call.started + timeout
  const cancel = abortAt(deadline, call.over)
  try {
    const caller = {
      user: basicUsername(headers.authorization),
      userAgent: headers['user-agent'] ?? '',
      watchExclude: singleHeader(headers[EXCLUDE_HEADER]),
      signal: call.over.signal,
      keepalive: keepaliveInterval(singleHeader(headers['keepalive-ping-interval'])),
      deadline,
      connection: connectionOf(call.request.raw),
      operationId: call.request.id,
    }
    const stream = await method.open(await readMessage(method, call), caller, call.codec)
    writeHead(call.response, call.codec, stream.headers)
    await writeFrames(call.response, stream.frames, { signal: stream.ended, sent: stream.sent, tally: call.sent })
  } finally {
    cancel()
  }
}

async function readMessage(method: StreamMethod, call: Call): Promise<MessageShape<DescMessage>> {
  const { request, codec, over, bodies } = call
  checkVersion(singleHeader(request.headers['connect-protocol-version']))
  const encoding = singleHeader(request.headers['connect-content-encoding'])
  checkEncoding(encoding)
  const { bytes: limit, kind } = messageLimit(method.name)
  const memory = bodies.memoryFor(request.raw, kind)
  const { signal } = over
  try {
    const body = await bodies.read(request.raw, { limit: limit + ENVELOPE_BYTES, memory, signal })
    const message = await onlyMessage(body, encoding, { limit, memory, signal })
    return await decodeMessage(method.input, message, { codec, memory, signal })
  } finally {
    memory.release()
  }
}

function writeHead(response: RawResponse, codec: Codec, headers: Readonly<Record<string, string>> = {}): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(200, {
    'content-type': `application/connect+${codec}`,
    'connect-accept-encoding': 'gzip',
    // Proxies must hand on every frame at once, and as it is.
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    ...headers,
  })
}
