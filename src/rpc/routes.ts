import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Codec } from '../calls/message-frame.ts'
import type { TableMethod } from '../calls/service-table.ts'
import { AppError } from '../errors.ts'
import type { DirectExchange, DirectRoute } from '../http/app/direct.ts'
import type { ServedPaths } from '../http/app/not-found.ts'
import { pathOf } from '../http/app/path.ts'
import { refuseCall } from '../http/app/refuse-call.ts'
import { errorFields } from '../lib/error-fields.ts'
import { createAccessLog } from './access-log.ts'
import type { RpcDeps } from './call-deps.ts'
import { isCall, kindOf, normaliseHeaders } from './guard.ts'
import type { ServeByLibrary } from './library.ts'
import { serveStream, streamCodec } from './stream-route.ts'
import { serveUnary, type UnaryExchange, unaryCodec } from './unary-route.ts'

/** The RPC routes, as the app takes them. */
interface RpcRoutes {
  readonly register: (app: FastifyInstance) => void
  readonly direct: readonly DirectRoute[]
}

/**
 * The RPC routes, as a part of the app: Connect, gRPC and gRPC-Web, all from the tables of the services. Unary calls
 * and server streams in the Connect protocol, which nearly all calls are, are served by `unary-route.ts` and
 * `stream-route.ts`; everything else by the library, which is loaded at the first such call: few daemons ever see one.
 */
export function rpcRoutes(deps: RpcDeps): RpcRoutes {
  const served = { ...deps, access: createAccessLog(deps) }
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
  const fail = (error: unknown, { request, response }: UnaryExchange) => {
    deps.log.error({ operation_id: request.id, ...errorFields(error) }, 'an rpc could not be answered')
    response.destroy()
  }
  const answer = (method: TableMethod, codec: Codec, exchange: UnaryExchange) =>
    void serveUnary(method, codec, exchange, served).catch((error) => fail(error, exchange))
  const methods = new Map(deps.services.flatMap((table) => table.methods.map((method) => [`/${method.name}`, method])))
  const methodOf = ({ url }: FastifyRequest) => methods.get(pathOf(url))
  const handle = async (request: FastifyRequest, reply: FastifyReply) => {
    const method = methodOf(request)
    if (method === undefined) return reply.callNotFound()
    if (!isCall(request, reply, kindOf(method))) return reply
    try {
      await serve(method, { request, reply })
    } catch (error) {
      // As long as nothing was begun, the app answers.
      if (!reply.sent) throw error
      fail(error, { request, response: reply.raw })
    }
    return reply
  }
  // In a hook, before the steps of Fastify for bodies, which take longer than to answer most of these calls.
  const onRequest = (request: FastifyRequest, reply: FastifyReply, done: () => void) => {
    const method = methodOf(request)
    const codec = unaryCodec(request.headers['content-type'])
    if (method === undefined || codec === undefined || kindOf(method) !== 'unary') done()
    else if (isCall(request, reply, 'unary')) {
      request.loggedElsewhere = true
      reply.hijack()
      answer(method, codec, { request, response: reply.raw })
    }
  }
  // One route for all: Fastify takes 50 ms to register each path with each HTTP method, at every start.
  const config: ServedPaths = { paths: [...methods.keys()] }
  return {
    register: (app) => {
      app.all('/:service/:method', { config, onRequest }, handle)
    },
    direct: [...methods].flatMap(([path, method]) => directUnary(path, method, answer) ?? []),
  }
}

type Answer = (method: TableMethod, codec: Codec, exchange: UnaryExchange) => void

/** What SDKs send, to the letter; other spellings of it take the steps of the app. */
function directUnary(path: string, method: TableMethod, answer: Answer): DirectRoute | undefined {
  if (kindOf(method) !== 'unary') return undefined
  const serveAs = (codec: Codec) => (exchange: DirectExchange) => {
    const { request: raw, response, id, since } = exchange
    answer(method, codec, { request: { id, headers: raw.headers, raw }, response, since })
  }
  const serve = new Map([
    ['application/json', serveAs('json')],
    ['application/proto', serveAs('proto')],
  ])
  return { method: 'POST', path, accept: ({ headers }) => serve.get(headers['content-type'] ?? '') }
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
