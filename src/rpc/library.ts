import { Code, ConnectError, createConnectRouter } from '@connectrpc/connect'
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from '@connectrpc/connect-node'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import { refuseCall } from '../http/refuse-call.ts'
import { errorFields } from '../lib/error-fields.ts'
import type { Log } from '../log.ts'
import { errorBoundary } from './error-boundary.ts'
import { checkedFrames, knownFlags } from './frame-flags.ts'
import { legacyClients } from './legacy.ts'
import { makeErrorsSendable } from './library-errors.ts'
import { operationValues } from './operation.ts'
import { MAX_MESSAGE_BYTES } from './request-body.ts'
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
    readMaxBytes: MAX_MESSAGE_BYTES,
    jsonOptions: JSON_OPTIONS,
    shutdownSignal: deps.shutdown,
  })
  addServices(router, deps)
  return new Map(router.handlers.map((handler) => [handler.requestPath, serving(handler, deps.log)]))
}

type Handler = ReturnType<typeof createConnectRouter>['handlers'][number]

function serving(handler: Handler, log: Log): LibraryHandler {
  return async (request, reply) => {
    try {
      const { raw } = request
      raw.headers.host = HOST
      if (raw.headers[':authority'] !== undefined) raw.headers[':authority'] = HOST
      const call = universalRequestFromNodeRequest(raw, reply.raw, undefined, operationValues(request))
      // A body that is not read to its end must not take the connection, and so the answer, along.
      const body = checkedFrames(raw.iterator({ destroyOnReturn: false }), knownFlags(raw.headers['content-type']))
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
