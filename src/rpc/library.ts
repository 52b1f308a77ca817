import { Code, ConnectError, createConnectRouter } from '@connectrpc/connect'
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import { refuseCall } from '../http/app/refuse-call.ts'
import { errorFields } from '../lib/error-fields.ts'
import type { Log } from '../log.ts'
import { toAppError } from './call-error.ts'
import { connectError, errorBoundary } from './error-boundary.ts'
import { singleHeader } from './guard.ts'
import { legacyClients } from './legacy.ts'
import { checkedBody } from './library-body.ts'
import { makeErrorsSendable } from './library-errors.ts'
import { operationValues } from './operation.ts'
import { addServices, type RpcDeps } from './services.ts'
import type { CallDeps } from './stream-route.ts'

/** Answers one call; writes to the raw response. Never rejects. */
export type LibraryHandler = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

/** The library makes a URL of it, which nothing looks at, and fails for a name that is none. */
const HOST = 'localhost'

/** JSON that is not UTF-8 is refused (RFC 8259 8.1); the library takes the decoder though its types do not name it. */
const JSON_OPTIONS = {
  ignoreUnknownFields: true,
  textDecoder: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }),
}

/**
 * The library's handlers by path, for everything that is not served here: gRPC, gRPC-Web and StreamInput. All of the library can be
 * loaded at the first such call: few daemons ever see one.
 */
export function libraryHandlers(deps: RpcDeps & CallDeps): ReadonlyMap<string, LibraryHandler> {
  makeErrorsSendable()
  const router = createConnectRouter({
    interceptors: [errorBoundary(deps), legacyClients],
    acceptCompression: [compressionGzip],
    jsonOptions: JSON_OPTIONS,
    binaryOptions: { readUnknownFields: false },
    shutdownSignal: deps.shutdown,
  })
  addServices(router, deps)
  return new Map(router.handlers.map((handler) => [handler.requestPath, serving(handler, deps)]))
}

const NEVER = new AbortController().signal

type Handler = ReturnType<typeof createConnectRouter>['handlers'][number]

function serving(handler: Handler, { log, bodies }: CallDeps): LibraryHandler {
  const failure = (error: unknown) => connectError(toAppError(error, NEVER, log))
  return async (request, reply) => {
    try {
      const { raw } = request
      raw.headers.host = HOST
      if (raw.headers[':authority'] !== undefined) raw.headers[':authority'] = HOST
      const call = universalRequestFromNodeRequest(raw, reply.raw, undefined, operationValues(request, reply.raw))
      const body = checkedBody({
        request: raw,
        response: reply.raw,
        method: handler.method,
        contentType: raw.headers['content-type'] ?? '',
        encoding: singleHeader(raw.headers['connect-content-encoding'] ?? raw.headers['grpc-encoding']),
        bodies,
        failure,
      })
      // As streams of the Connect protocol have it (contract N5).
      if (handler.method.methodKind === 'server_streaming') reply.raw.setHeader('x-accel-buffering', 'no')
      await universalResponseToNodeResponse(await handler({ ...call, body }), reply.raw)
    } catch (error) {
      giveUp(error, { request, reply, log })
    }
  }
}

interface Failed {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  readonly log: Log
}

/** Ends a call whose answer could not be made or sent, so that no client waits for it. */
function giveUp(error: unknown, { request, reply, log }: Failed): void {
  if (reply.raw.writableEnded || reply.raw.destroyed) return
  if (ConnectError.from(error).code !== Code.Aborted)
    log.error({ operation_id: request.id, ...errorFields(error) }, 'an rpc could not be answered')
  if (reply.raw.headersSent) return void reply.raw.destroy()
  refuseCall(request, reply, new AppError('internal', 'internal error'))
}
