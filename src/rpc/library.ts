import type { IncomingMessage, ServerResponse } from 'node:http'
import { Code, ConnectError, type ConnectRouter, type ContextValues, createContextKey } from '@connectrpc/connect'
import { fastifyConnectPlugin } from '@connectrpc/connect-fastify'
import { compressionGzip } from '@connectrpc/connect-node'
import type { FastifyReply, FastifyRequest, RouteHandlerMethod } from 'fastify'
import type { StreamFrames, UnreadFrames } from '../budget/unread-frames.ts'
import type { TableMethod } from '../calls/service-table.ts'
import { AppError } from '../errors.ts'
import { createFastify } from '../http/app/fastify.ts'
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
  /** Of a server stream. */
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

const responseKey = createContextKey<ServerResponse | undefined>(undefined, { description: 'response' })
const framesKey = createContextKey<StreamFrames | undefined>(undefined, { description: 'frames' })

/** JSON that is not UTF-8 is refused (RFC 8259 8.1); the library takes the decoder though its types do not name it. */
const JSON_OPTIONS = {
  ignoreUnknownFields: true,
  textDecoder: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }),
}

/**
 * Loads the library, which serves gRPC, gRPC-Web and client streams: Connect's plugin for Fastify, in an app of its own
 * that listens to nothing and is passed requests which the daemon's app has let in. So it can be loaded at the first
 * such call.
 */
export async function openLibrary(deps: LibraryDeps): Promise<ServeByLibrary> {
  makeErrorsSendable()
  const calls = new WeakMap<IncomingMessage, Passed>()
  const callOf = ({ raw }: FastifyRequest): Passed => {
    const call = calls.get(raw)
    if (call === undefined) throw new Error('the request was not passed on')
    return call
  }
  const app = createFastify({})
  app.addHook('onRoute', (route) => {
    route.handler = answering(route.handler, callOf, deps)
  })
  // The plugin reads the request itself only if there is no body yet.
  app.addHook('preHandler', async (request) => {
    request.body = bodyOf(callOf(request), deps)
  })
  app.register(fastifyConnectPlugin, {
    interceptors: [errorBoundary(deps), legacyClients(deps.services)],
    acceptCompression: [compressionGzip],
    jsonOptions: JSON_OPTIONS,
    binaryOptions: { readUnknownFields: false },
    shutdownSignal: deps.shutdown,
    routes: (router) => addRoutes(router, deps),
    contextValues: (request) => contextOf(callOf(request)),
  })
  await app.ready()
  return (call) => {
    const { raw } = call.request
    raw.headers.host = HOST
    if (raw.headers[':authority'] !== undefined) raw.headers[':authority'] = HOST
    const frames = framesOf(call, deps.unread)
    if (frames === 'refused') return
    calls.set(raw, { ...call, frames })
    app.routing(raw, call.reply.raw)
  }
}

function contextOf(call: Passed): ContextValues {
  return operationValues(call).set(framesKey, call.frames).set(responseKey, call.reply.raw)
}

/** Puts all services on the router. A handler that fails is logged here: the plugin would write to the console. */
function addRoutes(router: ConnectRouter, { services, budget, streams, log }: LibraryDeps): void {
  for (const table of services) addService(router, table, { budget, streams })
  for (const [index, handler] of router.handlers.entries()) {
    const logged: typeof handler = Object.assign(async (request: Parameters<typeof handler>[0]) => {
      try {
        const answer = await handler(request)
        // A body that is no HTTP is refused by the server, whatever its call has come to.
        if (request.contextValues?.get(responseKey)?.headersSent) throw new ConnectError('answered', Code.Aborted)
        return counted(answer, request.contextValues?.get(framesKey))
      } catch (error) {
        if (ConnectError.from(error).code !== Code.Aborted)
          log.error({ ...errorFields(error) }, 'an rpc failed unexpectedly')
        throw new ConnectError('the handler failed', Code.Aborted)
      }
    }, handler)
    router.handlers[index] = logged
  }
}

/** Undefined for what is no server stream. One that is refused has its answer. */
function framesOf(
  { method, request, reply }: LibraryRequest,
  unread: UnreadFrames,
): StreamFrames | undefined | 'refused' {
  if (method.implementation.kind !== 'server stream') return undefined
  try {
    return countUnread(unread, reply.raw, requestCaller(request, NEVER), { bytes: STREAM_BYTES, copies: COPIES })
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    refuseCall(request, reply, error)
    return 'refused'
  }
}

type Answer = Awaited<ReturnType<ConnectRouter['handlers'][number]>>

/** The library asks for the next piece when the one before is on its way. */
function counted(answer: Answer, frames: StreamFrames | undefined): Answer {
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

/**
 * A handler of the plugin, which returns without an answer when it could not make or send one: such a call is ended
 * here, so that no client waits for it.
 */
function answering(
  handler: RouteHandlerMethod,
  callOf: (request: FastifyRequest) => LibraryRequest,
  { log }: LibraryDeps,
): RouteHandlerMethod {
  return async function (request, reply) {
    const call = callOf(request)
    const { raw } = reply
    let closed = false
    raw.once('close', () => {
      closed = true
    })
    // As streams of the Connect protocol have it (contract N5).
    if (call.method.implementation.kind === 'server stream') raw.setHeader('x-accel-buffering', 'no')
    reply.hijack()
    await handler.call(this, request, reply)
    if (closed || raw.writableEnded || raw.destroyed) return
    log.error({ operation_id: call.request.id }, 'an rpc could not be answered')
    if (raw.headersSent) raw.destroy()
    else refuseCall(call.request, call.reply, new AppError('internal', 'internal error'))
  }
}
