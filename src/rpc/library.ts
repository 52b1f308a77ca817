import { fastifyConnectPlugin } from '@connectrpc/connect-fastify'
import { compressionGzip } from '@connectrpc/connect-node'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { errorBoundary } from './error-boundary.ts'
import { legacyClients } from './legacy.ts'
import { operationValues } from './operation.ts'
import { MAX_MESSAGE_BYTES } from './request-body.ts'
import { addServices, type RpcDeps } from './services.ts'
import type { CallDeps } from './stream-route.ts'

/** Answers one call; writes to the raw response. */
export type LibraryHandler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

/**
 * The library's handlers by path, for everything that is not served here: gRPC, gRPC-Web and StreamInput. They are made without
 * an app, so that all of the library can be loaded at the first such call: few daemons ever see one.
 */
export function libraryHandlers(deps: RpcDeps & CallDeps): ReadonlyMap<string, LibraryHandler> {
  const handlers = new Map<string, LibraryHandler>()
  const recorder = {
    all: (path: string, _options: unknown, handler: LibraryHandler) => handlers.set(path, handler),
    addContentTypeParser: () => {},
  }
  // Of an app the plugin uses these two methods only.
  fastifyConnectPlugin(
    recorder as unknown as FastifyInstance,
    {
      routes: (router) => addServices(router, deps),
      interceptors: [errorBoundary(deps), legacyClients],
      acceptCompression: [compressionGzip],
      readMaxBytes: MAX_MESSAGE_BYTES,
      jsonOptions: { ignoreUnknownFields: true },
      shutdownSignal: deps.shutdown,
      contextValues: operationValues,
    },
    () => {},
  )
  return handlers
}
