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
import type { CallExchange } from './request-caller.ts'
import { serveStream, streamCodec } from './stream-route.ts'
import { serveUnary, unaryCodec } from './unary-route.ts'

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
  const fail = (error: unknown, { request, response }: CallExchange) => {
    deps.log.error({ operation_id: request.id, ...errorFields(error) }, 'an rpc could not be answered')
    response.destroy()
  }
  const answer: Answer = (method, codec, exchange) => {
    const serve = kindOf(method) === 'unary' ? serveUnary : serveStream
    void serve(method, codec, exchange, served).catch((error) => fail(error, exchange))
  }
  const methods = new Map(deps.services.flatMap((table) => table.methods.map((method) => [`/${method.name}`, method])))
  const methodOf = ({ url }: FastifyRequest) => methods.get(pathOf(url))
  const handle = async (request: FastifyRequest, reply: FastifyReply) => {
    const method = methodOf(request)
    if (method === undefined) return reply.callNotFound()
    if (!isCall(request, reply, kindOf(method))) return reply
    try {
      if (normalise({ request, reply }, method)) (await loadLibrary())({ method, request, reply })
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
    const codec = method && codecOf(method, request.headers['content-type'])
    if (method === undefined || codec === undefined) done()
    else if (isCall(request, reply, kindOf(method))) {
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
    direct: [...methods].flatMap(([path, method]) => directRoute(path, method, answer) ?? []),
  }
}

type Answer = (method: TableMethod, codec: Codec, exchange: CallExchange) => void

/** How a call of that content type is encoded, if it is answered here; undefined: the library has it. */
function codecOf(method: TableMethod, contentType: string | undefined): Codec | undefined {
  if (kindOf(method) === 'unary') return unaryCodec(contentType)
  return method.implementation.kind === 'server stream' ? streamCodec(contentType) : undefined
}

/** What SDKs send, to the letter; other spellings of it take the steps of the app. */
const DIRECT_TYPES = ['application/json', 'application/proto', 'application/connect+json', 'application/connect+proto']

function directRoute(path: string, method: TableMethod, answer: Answer): DirectRoute | undefined {
  const serve = new Map<string, (exchange: DirectExchange) => void>()
  for (const type of DIRECT_TYPES) {
    const codec = codecOf(method, type)
    if (codec === undefined) continue
    serve.set(type, ({ request: raw, response, id, since }) =>
      answer(method, codec, { request: { id, headers: raw.headers, raw }, response, since }),
    )
  }
  if (serve.size === 0) return undefined
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
