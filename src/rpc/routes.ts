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
import { MAX_MESSAGE_BYTES } from './envelope.ts'
import { errorBoundary } from './error-boundary.ts'
import { isCall, type MethodKind, normaliseHeaders } from './guard.ts'
import { legacyClients } from './legacy.ts'
import { processStreams } from './process-streams.ts'
import { addServices } from './services.ts'
import { type StreamDeps, serveStream, streamCodec } from './stream-route.ts'

/** The services behind the RPC routes, and what every stream needs. */
export interface RpcDeps extends StreamDeps {
  readonly process: ProcessService
  readonly filesystem: FilesystemService
}

/**
 * The RPC routes, as a part of the app: Connect, gRPC and gRPC-Web. The library serves everything but server streams in
 * the Connect protocol, which carry the bulk of the bytes and are served by `stream-route.ts`.
 */
export function rpcRoutes(deps: RpcDeps): (app: FastifyInstance) => void {
  const kinds = methodKinds()
  const streams = new Map(processStreams(deps.process).map((method) => [`/${method.name}`, method]))
  const intercept = async (request: FastifyRequest, reply: FastifyReply) => {
    const path = pathOf(request.url)
    const kind = kinds.get(path) ?? 'unary'
    if (!isCall(request, reply, kind)) return reply
    const method = streams.get(path)
    const codec = method === undefined ? undefined : streamCodec(request.headers['content-type'])
    if (method === undefined || codec === undefined) return normalised(request, reply, kind)
    await serveStream(method, codec, { request, reply }, deps)
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
