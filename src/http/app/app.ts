import type { IncomingMessage, RequestListener, Server } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../../errors.ts'
import type { AccessToken } from '../../init/access-token.ts'
import type { Log } from '../../log.ts'
import type { Users } from '../../users/users.ts'
import { checkAccessToken } from '../access/auth.ts'
import { checkBasicUser } from '../access/basic-user.ts'
import { applyCors } from '../access/cors.ts'
import { discardRest } from '../server/discard-rest.ts'
import { logRequests } from './access-log.ts'
import { answerDirectly, type DirectRoute } from './direct.ts'
import { createErrorHandler } from './error-response.ts'
import { createFastify } from './fastify.ts'
import { answerUnrouted, sendNotFound } from './not-found.ts'
import { pathOf } from './path.ts'
import { NO_TARGET, normaliseTarget, WHOLE_SERVER } from './request-target.ts'

interface AppOptions {
  readonly log: Log
  readonly token: AccessToken
  readonly users: Users
  /** Takes a request that has shown the token (`Listener.showedToken`). */
  readonly onTokenShown?: (request: IncomingMessage | Http2ServerRequest) => void
  /** Takes the request handler, returns the server that Fastify may own (`Listener.serverFactory`). */
  readonly serverFactory: (handler: RequestListener) => Server
  /** Each registers the routes of one feature. Bodies arrive unread: a handler reads `request.raw`. */
  readonly routes: readonly ((app: FastifyInstance) => void)[]
  /** Paths of the routes that are answered before all this, with the same outcome. */
  readonly direct?: readonly DirectRoute[]
}

/**
 * Builds the HTTP application: CORS, access token, Basic username, then the route, in this order and for every path
 * (contract A17). It listens to nothing; the caller awaits `ready()` before it accepts connections, and `close()` at
 * the end.
 */
export function buildApp(options: AppOptions): FastifyInstance {
  const { log, token, users } = options
  const handleError = createErrorHandler(log)
  let operations = 0
  const nextId = () => String(++operations)
  const { onTokenShown, direct = [] } = options
  const app = createFastify({
    genReqId: nextId,
    return503OnClosing: false,
    serverFactory: (handler) =>
      options.serverFactory(
        normalised(answerDirectly(handler, { token, users, onTokenShown, nextId, routes: direct })),
      ),
    frameworkErrors: (error, request, reply) => handleError(error, request, reply),
    // The listener answers what is not a request: it knows what else is under way on the connection.
    clientErrorHandler: () => {},
  })
  app.setErrorHandler(handleError)
  logRequests(app, log)
  const unrouted = answerUnrouted(app)
  // No route takes QUERY, and Fastify has an answer of its own for one without a content type.
  const route = (request: FastifyRequest, reply: FastifyReply, done: () => void) =>
    goOn(request, reply, request.method === 'QUERY' ? () => unrouted(request, reply) : done)
  // Hooks with callbacks: promises of hooks would take as long as all else that is done for a small request.
  app.addHook('onRequest', (request, reply, done) => {
    // Answered, and perhaps not read to its end.
    reply.raw.on('finish', () => discardRest(request.raw))
    // A client that leaves: the connection closes, which is what counts.
    reply.raw.on('error', () => {})
    if (applyCors(request, reply)) return
    if (checkAccessToken(request, token)) onTokenShown?.(request.raw)
    const allowed = checkBasicUser(request, reply, users)
    if (allowed === true && !isChunked(request)) route(request, reply, done)
    else if (allowed !== false)
      afterFirstChunk(allowed)
        .then((may) => may && route(request, reply, done))
        .catch(done)
  })
  app.addHook('onSend', (_request, reply, payload, done) => {
    keepOldConnection(reply)
    done(null, payload)
  })
  for (const register of options.routes) app.register(async (scope) => register(scope))
  return app
}

function normalised(handler: RequestListener): RequestListener {
  return (request, response) => {
    normaliseTarget(request)
    handler(request, response)
  }
}

function isChunked({ headers }: FastifyRequest): boolean {
  return headers['transfer-encoding'] !== undefined
}

/** The parser looks at the first chunk after the request; a malformed one is answered with 400, not by a route. */
async function afterFirstChunk(allowed: boolean | Promise<boolean>): Promise<boolean> {
  const [may] = await Promise.all([allowed, setImmediate()])
  return may
}

/** Answers what is for no route, and calls `done` for everything else. Throws AppError. */
function goOn(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  if (request.url === NO_TARGET) throw new AppError('invalid_argument', 'the request target is malformed')
  if (request.url === WHOLE_SERVER) reply.code(200).header('content-length', 0).send()
  // No route has a character that needs an escape, and another spelling of a route is another path (contract A19).
  else if (pathOf(request.url).includes('%')) sendNotFound(reply)
  else done()
}

/** HTTP/1.0 clients may ask to go on with the connection; Node grants it only for answers that have a length. */
function keepOldConnection(reply: FastifyReply): void {
  const bodiless = reply.statusCode === 204 || reply.statusCode === 304
  if (bodiless && reply.request.raw.httpVersion === '1.0' && reply.raw.shouldKeepAlive)
    reply.header('connection', 'keep-alive')
}
