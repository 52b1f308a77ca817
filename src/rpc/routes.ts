import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { createUnreadFrames } from '../budget/unread-frames.ts'
import type { TableMethod } from '../calls/service-table.ts'
import { AppError } from '../errors.ts'
import { refuseCall } from '../http/app/refuse-call.ts'
import { errorFields } from '../lib/error-fields.ts'
import { createAccessLog } from './access-log.ts'
import type { RpcDeps } from './call-deps.ts'
import { isCall, kindOf, normaliseHeaders } from './guard.ts'
import type { ServeByLibrary } from './library.ts'
import { serveStream, streamCodec } from './stream-route.ts'
import { serveUnary, unaryCodec } from './unary-route.ts'

/**
 * The RPC routes, as a part of the app: Connect, gRPC and gRPC-Web, all from the tables of the services. Unary calls
 * and server streams in the Connect protocol, which nearly all calls are, are served by `unary-route.ts` and
 * `stream-route.ts`; everything else by the library, which is loaded at the first such call: few daemons ever see one.
 */
export function rpcRoutes(deps: RpcDeps): (app: FastifyInstance) => void {
  const served = { ...deps, access: createAccessLog(deps), unread: createUnreadFrames(deps.budget) }
  let library: Promise<ServeByLibrary> | undefined
  const loadLibrary = () => {
    library ??= import('./library.ts').then(({ openLibrary }) => openLibrary(served))
    return library
  }
  const serve = async (method: TableMethod, exchange: Exchange) => {
    const streamForm = streamCodec(exchange.request.headers['content-type'])
    const isStream = method.implementation.kind === 'server stream'
    if (isStream && streamForm !== undefined) await serveStream(method, streamForm, exchange, served)
    else if (normalise(exchange, method)) (await loadLibrary())({ method, ...exchange })
  }
  const fail = (error: unknown, { request, reply }: Exchange) => {
    deps.log.error({ operation_id: request.id, ...errorFields(error) }, 'an rpc could not be answered')
    reply.raw.destroy()
  }
  const handle = async (method: TableMethod, request: FastifyRequest, reply: FastifyReply) => {
    if (!isCall(request, reply, kindOf(method))) return reply
    try {
      await serve(method, { request, reply })
    } catch (error) {
      // As long as nothing was begun, the app answers.
      if (!reply.sent) throw error
      fail(error, { request, reply })
    }
    return reply
  }
  // In a hook, before the steps of Fastify for bodies, which take longer than to answer most of these calls.
  const handleUnary = (method: TableMethod) => (request: FastifyRequest, reply: FastifyReply, done: () => void) => {
    const codec = unaryCodec(request.headers['content-type'])
    if (codec === undefined) done()
    else if (isCall(request, reply, 'unary'))
      serveUnary(method, codec, { request, reply }, served).catch((error) => fail(error, { request, reply }))
  }
  const methods = deps.services.flatMap((table) => table.methods)
  return (app) => {
    for (const method of methods) {
      const before = kindOf(method) === 'unary' ? { onRequest: handleUnary(method) } : {}
      app.all(`/${method.name}`, before, (request, reply) => handle(method, request, reply))
    }
  }
}

interface Exchange {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

/** Whether the headers are fit for the library; if not, the call has got its answer. */
function normalise({ request, reply }: Exchange, method: TableMethod): boolean {
  try {
    normaliseHeaders(request, kindOf(method))
    return true
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    refuseCall(request, reply, error)
    return false
  }
}
