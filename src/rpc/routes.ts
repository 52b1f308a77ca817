import { fastifyConnectPlugin } from '@connectrpc/connect-fastify'
import { compressionGzip } from '@connectrpc/connect-node'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import type { FilesystemService } from '../filesystem/service.ts'
import { Filesystem } from '../gen/filesystem/filesystem_pb.js'
import { Process } from '../gen/process/process_pb.js'
import { statusOf } from '../http/error-response.ts'
import { pathOf } from '../http/path.ts'
import type { ProcessService } from '../process/service.ts'
import type { WatchService } from '../watch/service.ts'
import { errorBoundary } from './error-boundary.ts'
import { isCall, type MethodKind, normaliseHeaders } from './guard.ts'
import { legacyClients } from './legacy.ts'
import { processStreams } from './process-streams.ts'
import { MAX_MESSAGE_BYTES } from './request-body.ts'
import { addServices } from './services.ts'
import { type StreamDeps, type StreamMethod, serveStream, streamCodec } from './stream-route.ts'
import { unaryMethods } from './unary-methods.ts'
import { serveUnary, unaryCodec } from './unary-route.ts'
import { watchStream } from './watch-stream.ts'

/** The services behind the RPC routes, and what every stream needs. */
export interface RpcDeps extends StreamDeps {
  readonly process: ProcessService
  readonly filesystem: FilesystemService
  readonly watch: WatchService
}

/**
 * The RPC routes, as a part of the app: Connect, gRPC and gRPC-Web. Unary calls and server streams in the Connect protocol,
 * which nearly all calls are, are served by `unary-route.ts` and `stream-route.ts`; everything else by the library.
 */
export function rpcRoutes(deps: RpcDeps): (app: FastifyInstance) => void {
  const kinds = methodKinds()
  const methods: StreamMethod[] = [...processStreams(deps.process), watchStream(deps.watch)]
  const streams = new Map(methods.map((method) => [`/${method.name}`, method]))
  const unaries = new Map(unaryMethods(deps).map((method) => [`/${method.name}`, method]))
  const intercept = async (request: FastifyRequest, reply: FastifyReply) => {
    const path = pathOf(request.url)
    const kind = kinds.get(path) ?? 'unary'
    if (!isCall(request, reply, kind)) return reply
    const contentType = request.headers['content-type']
    const [unary, unaryForm] = [unaries.get(path), unaryCodec(contentType)]
    const [stream, streamForm] = [streams.get(path), streamCodec(contentType)]
    if (unary !== undefined && unaryForm !== undefined) await serveUnary(unary, unaryForm, { request, reply }, deps)
    else if (stream !== undefined && streamForm !== undefined)
      await serveStream(stream, streamForm, { request, reply }, deps)
    else return normalised(request, reply, kind)
    return reply
  }
  return (app) => {
    app.addHook('preHandler', intercept)
    app.register(fastifyConnectPlugin, {
      routes: (router) => addServices(router, deps),
      interceptors: [errorBoundary(deps.log), legacyClients],
      acceptCompression: [compressionGzip],
      readMaxBytes: MAX_MESSAGE_BYTES,
      jsonOptions: { ignoreUnknownFields: true },
      shutdownSignal: deps.shutdown,
    })
  }
}

function methodKinds(): Map<string, MethodKind> {
  const methods = [Process, Filesystem].flatMap((service) => service.methods)
  return new Map(
    methods.map(({ parent, name, methodKind }) => [
      `/${parent.typeName}/${name}`,
      methodKind === 'unary' ? 'unary' : 'stream',
    ]),
  )
}

/** Answers a header that is no timeout; a unary call has its error in the body. */
function normalised(request: FastifyRequest, reply: FastifyReply, kind: MethodKind): FastifyReply | undefined {
  try {
    normaliseHeaders(request, kind)
    return undefined
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    const body = JSON.stringify({ code: error.kind, message: error.message })
    return reply.code(statusOf(error.kind)).header('content-type', 'application/json').send(body)
  }
}
