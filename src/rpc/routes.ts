import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import { refuseCall } from '../http/app/refuse-call.ts'
import { errorFields } from '../lib/error-fields.ts'
import { createAccessLog } from './access-log.ts'
import { isCall, type MethodKind, normaliseHeaders } from './guard.ts'
import type { LibraryHandler } from './library.ts'
import { METHODS } from './methods.ts'
import { metricsMethods } from './metrics-calls.ts'
import { metricsStream } from './metrics-stream.ts'
import { portsMethods } from './ports-calls.ts'
import { portsStream } from './ports-stream.ts'
import { processStreams } from './process-streams.ts'
import type { RpcDeps } from './services.ts'
import { type StreamMethod, serveStream, streamCodec } from './stream-route.ts'
import { supervisorMethods, supervisorStream } from './supervisor-calls.ts'
import { unaryMethods } from './unary-methods.ts'
import { serveUnary, unaryCodec } from './unary-route.ts'
import { watchStream } from './watch-stream.ts'

/**
 * The RPC routes, as a part of the app: Connect, gRPC and gRPC-Web. Unary calls and server streams in the Connect protocol,
 * which nearly all calls are, are served by `unary-route.ts` and `stream-route.ts`; everything else by the library.
 */
export function rpcRoutes(deps: RpcDeps): (app: FastifyInstance) => void {
  const kinds = methodKinds()
  const served = { ...deps, access: createAccessLog(deps) }
  const methods: StreamMethod[] = [
    ...processStreams(deps.process),
    watchStream(deps.watch),
    metricsStream(deps.metrics),
    portsStream(deps.ports),
    supervisorStream(deps.supervisor),
  ]
  const streams = new Map(methods.map((method) => [`/${method.name}`, method]))
  const unaries = new Map(
    [
      ...unaryMethods(deps),
      ...metricsMethods(deps.metrics, deps.budget),
      ...portsMethods(deps.ports, deps.budget),
      ...supervisorMethods(deps.supervisor),
    ].map((method) => [`/${method.name}`, method]),
  )
  const handle = async (path: string, kind: MethodKind, request: FastifyRequest, reply: FastifyReply) => {
    if (!isCall(request, reply, kind)) return reply
    try {
      await serve(path, kind, { request, reply })
    } catch (error) {
      // As long as nothing was begun, the app answers.
      if (!reply.sent) throw error
      deps.log.error({ operation_id: request.id, ...errorFields(error) }, 'an rpc could not be answered')
      reply.raw.destroy()
    }
    return reply
  }
  const serve = async (path: string, kind: MethodKind, { request, reply }: Exchange) => {
    const contentType = request.headers['content-type']
    const [unary, unaryForm] = [unaries.get(path), unaryCodec(contentType)]
    const [stream, streamForm] = [streams.get(path), streamCodec(contentType)]
    if (unary !== undefined && unaryForm !== undefined) await serveUnary(unary, unaryForm, { request, reply }, served)
    else if (stream !== undefined && streamForm !== undefined)
      await serveStream(stream, streamForm, { request, reply }, served)
    else if (normalise(request, reply, kind)) await serveByLibrary(path, request, reply)
  }
  let library: Promise<ReadonlyMap<string, LibraryHandler>> | undefined
  const loadLibrary = () => {
    library ??= import('./library.ts').then(({ libraryHandlers }) => libraryHandlers(served))
    return library
  }
  const serveByLibrary = async (path: string, request: FastifyRequest, reply: FastifyReply) => {
    const call = (await loadLibrary()).get(path)
    if (call === undefined) throw new Error(`no handler for ${path}`)
    await call(request, reply)
  }
  return (app) => {
    for (const [path, kind] of kinds) app.all(path, (request, reply) => handle(path, kind, request, reply))
  }
}

interface Exchange {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}

function methodKinds(): Map<string, MethodKind> {
  return new Map([...METHODS].map(([path, { methodKind }]) => [path, methodKind === 'unary' ? 'unary' : 'stream']))
}

/** Whether the headers are fit for the library; if not, the call has got its answer. */
function normalise(request: FastifyRequest, reply: FastifyReply, kind: MethodKind): boolean {
  try {
    normaliseHeaders(request, kind)
    return true
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    refuseCall(request, reply, error)
    return false
  }
}
