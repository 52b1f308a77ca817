import { setImmediate } from 'node:timers/promises'
import { Code, ConnectError, createConnectRouter } from '@connectrpc/connect'
import type { UniversalHandler, UniversalServerResponse } from '@connectrpc/connect/protocol'
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { StreamFrames, UnreadFrames } from '../budget/unread-frames.ts'
import type { TableMethod } from '../calls/service-table.ts'
import { AppError } from '../errors.ts'
import { refuseCall } from '../http/app/refuse-call.ts'
import { errorFields } from '../lib/error-fields.ts'
import { NEVER } from '../lib/never.ts'
import type { CallDeps, RpcDeps } from './call-deps.ts'
import { toAppError } from './call-error.ts'
import { countUnread } from './count-unread.ts'
import { connectError, errorBoundary } from './error-boundary.ts'
import { singleHeader } from './guard.ts'
import { legacyClients } from './legacy.ts'
import { checkedBody } from './library-body.ts'
import { makeErrorsSendable } from './library-errors.ts'
import { addService } from './library-services.ts'
import { operationValues } from './operation.ts'
import { requestCaller } from './request-caller.ts'

/** A request of the daemon's app that the library is to answer. */
interface LibraryRequest {
  readonly method: TableMethod
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

interface Passed extends LibraryRequest {
  /** Frames of a server stream that wait; undefined: it is no server stream. */
  readonly frames: StreamFrames | undefined
}

/** Answers one call on the raw response, in its own time. Never throws. */
export type ServeByLibrary = (call: LibraryRequest) => void

type LibraryDeps = RpcDeps & CallDeps

/** The library makes a URL of it, which nothing looks at, and fails for a name that is none. */
const HOST = 'localhost'

/** What the library takes for a stream, as measured. */
const STREAM_BYTES = 56 * 1024

/** Copies of what a stream is about to send: of the output, in a message, in an envelope. */
const COPIES = 3

/** JSON that is not UTF-8 is refused (RFC 8259 8.1); the library takes the decoder though its types do not name it. */
const JSON_OPTIONS = {
  ignoreUnknownFields: true,
  textDecoder: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }),
}

/**
 * Loads the library, which serves gRPC, gRPC-Web and client streams: Connect's router, which is passed requests that
 * the daemon's app has let in. So it can be loaded at the first such call.
 */
export async function openLibrary(deps: LibraryDeps): Promise<ServeByLibrary> {
  // In a turn after that in which the library's modules were run.
  await setImmediate()
  makeErrorsSendable()
  const router = createConnectRouter({
    interceptors: [errorBoundary(deps), legacyClients(deps.services)],
    acceptCompression: [compressionGzip],
    jsonOptions: JSON_OPTIONS,
    binaryOptions: { readUnknownFields: false },
    shutdownSignal: deps.shutdown,
  })
  for (const table of deps.services) {
    addService(router, table, { budget: deps.budget, streams: deps.streams })
    // Some milliseconds for all.
    await setImmediate()
  }
  const handlers = new Map(router.handlers.map((handler) => [handler.requestPath, handler]))
  return (call) => {
    const { description } = call.method
    const handler = handlers.get(`/${description.parent.typeName}/${description.name}`)
    if (handler === undefined) throw new Error(`the library does not know ${description.name}`)
    const { raw } = call.request
    raw.headers.host = HOST
    if (raw.headers[':authority'] !== undefined) raw.headers[':authority'] = HOST
    const frames = framesOf(call, deps.unread)
    if (frames !== 'refused') void answer(handler, { ...call, frames }, deps)
  }
}

/**
 * Runs a call and sends what it is answered with. Never rejects; a call that cannot be answered is ended, so that no
 * client waits for it.
 */
async function answer(handler: UniversalHandler, call: Passed, deps: LibraryDeps): Promise<void> {
  const { raw } = call.reply
  // The server has refused its body meanwhile.
  if (raw.headersSent) return
  let closed = false
  raw.once('close', () => {
    closed = true
  })
  // As streams of the Connect protocol have it (contract N5).
  if (call.method.implementation.kind === 'server stream') raw.setHeader('x-accel-buffering', 'no')
  call.reply.hijack()
  const response = await run(handler, call, deps)
  // The server refuses a body that is no HTTP, whatever its call has come to.
  if (response !== undefined && !raw.headersSent) {
    // Rejects when the client leaves in the middle; the signal of its call has aborted by then.
    await universalResponseToNodeResponse(counted(response, call.frames), raw).catch(() => {})
  }
  if (closed || raw.writableEnded || raw.destroyed) return
  deps.log.error({ operation_id: call.request.id }, 'an rpc could not be answered')
  if (raw.headersSent) raw.destroy()
  else refuseCall(call.request, call.reply, new AppError('internal', 'internal error'))
}

/** Undefined for a failure of the library itself, which is logged: those of calls are answers. */
async function run(
  handler: UniversalHandler,
  call: Passed,
  deps: LibraryDeps,
): Promise<UniversalServerResponse | undefined> {
  try {
    const request = universalRequestFromNodeRequest(call.request.raw, call.reply.raw, undefined, operationValues(call))
    return await handler({ ...request, body: bodyOf(call, deps) })
  } catch (error) {
    if (ConnectError.from(error).code !== Code.Aborted)
      deps.log.error({ ...errorFields(error) }, 'an rpc failed unexpectedly')
    return undefined
  }
}

/** Undefined for what is no server stream. One that is refused has its answer. */
function framesOf(
  { method, request, reply }: LibraryRequest,
  unread: UnreadFrames,
): StreamFrames | undefined | 'refused' {
  if (method.implementation.kind !== 'server stream') return undefined
  try {
    return countUnread(unread, reply.raw, requestCaller(request, { signal: NEVER }), {
      bytes: STREAM_BYTES,
      copies: COPIES,
    })
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    refuseCall(request, reply, error)
    return 'refused'
  }
}

/** The library asks for the next piece when the one before is on its way. */
function counted(answer: UniversalServerResponse, frames: StreamFrames | undefined): UniversalServerResponse {
  const { body } = answer
  if (body === undefined || frames === undefined) return answer
  const pieces = async function* () {
    for await (const piece of body) {
      frames.add(piece)
      yield piece
      frames.taken(piece)
    }
  }
  return { ...answer, body: pieces() }
}

function bodyOf({ method, request, reply }: LibraryRequest, { bodies, log }: LibraryDeps): AsyncIterable<Uint8Array> {
  const { raw } = request
  return checkedBody({
    request: raw,
    response: reply.raw,
    method,
    contentType: raw.headers['content-type'] ?? '',
    encoding: singleHeader(raw.headers['connect-content-encoding'] ?? raw.headers['grpc-encoding']),
    bodies,
    failure: (error: unknown) => connectError(toAppError(error, NEVER, log)),
  })
}
