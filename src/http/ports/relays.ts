import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { ByteBudget } from '../../budget/budget.ts'
import { AppError } from '../../errors.ts'
import type { AccessToken } from '../../init/access-token.ts'
import type { Log } from '../../log.ts'
import { descriptorShare } from '../../native/descriptor-share.ts'
import { sendErrorBody } from '../app/error-body.ts'
import { RETRY_AFTER_SECONDS, statusOf } from '../app/error-response.ts'
import { connectionOf } from '../server/connection.ts'
import { discardRest } from '../server/discard-rest.ts'
import { checkPortAccess } from './access.ts'
import { relay } from './relay.ts'
import { lacksSlash, type PortTarget, portTarget } from './target.ts'

interface RelayDeps {
  readonly token: AccessToken
  readonly budget: ByteBudget
  readonly log: Log
  /** Takes a request that has shown the token (`Listener.showedToken`). */
  readonly onTokenShown: (request: IncomingMessage) => void
}

/** Relays at a time, in sum, if there are descriptors: each has a connection of its own, and no page needs so many. */
const MAX_RELAYS = 1024

/** What waits in the buffers of one whose sides stall: a piece of 64 KiB that was read, and one that is written. */
const RELAY_BYTES = 128 * 1024

/** Nothing listens on the port, or what does has failed. */
const BAD_GATEWAY = 502
const FORBIDDEN = 403

/**
 * Puts the way to the ports of the sandbox before the handler of the daemon's own requests: what is for another port,
 * by its path (`/ports/N/…`, `/absports/N/…`) or the header `E2b-Sandbox-Port`, is sent there, after the token was
 * checked, and everything else to the handler.
 */
export function relayPorts(handler: RequestListener, deps: RelayDeps): RequestListener {
  const most = descriptorShare(1 / 8, MAX_RELAYS)
  let open = 0
  const begin = (request: IncomingMessage, response: ServerResponse, target: PortTarget) => {
    if (checkPortAccess(deps.token, request, target.port)) deps.onTokenShown(request)
    // It came by the port of the daemon, which relays nothing to itself.
    if (target.port === request.socket.localPort)
      return sendErrorBody(request, response, FORBIDDEN, 'this is the port of the daemon')
    if (lacksSlash(request.url ?? '')) return redirect(request, response, target)
    if (open >= most) throw new AppError('budget_spent', 'too many requests to ports are under way')
    const hold = deps.budget.hold('relay', { connection: connectionOf(request), user: undefined })
    hold.grow(RELAY_BYTES)
    open++
    response.once('close', () => {
      open--
      hold.release()
    })
    const failed = (message: string) => {
      for (const name of response.getHeaderNames()) response.removeHeader(name)
      if (request.httpVersionMajor === 1) response.statusMessage = ''
      sendErrorBody(request, response, BAD_GATEWAY, message)
    }
    void relay({ request, response, target, failed, log: deps.log })
  }
  return (request, response) => {
    const target = portTarget(request, request.socket.localPort)
    if (target === 'daemon') return handler(request, response)
    // A client that leaves: the connection closes, which is what counts.
    response.on('error', () => {})
    try {
      if (target === 'invalid') throw new AppError('invalid_argument', 'E2b-Sandbox-Port is not a port')
      begin(request, response, target)
    } catch (error) {
      if (!(error instanceof AppError)) throw error
      if (error.kind === 'budget_spent') response.setHeader('retry-after', RETRY_AFTER_SECONDS)
      sendErrorBody(request, response, statusOf(error.kind), error.message)
    }
  }
}

/** To the same with a slash; by a relative link, for proxies that serve the daemon below a path. */
function redirect(request: IncomingMessage, response: ServerResponse, { port }: PortTarget): void {
  const query = /\?.*$/s.exec(request.url ?? '')?.[0] ?? ''
  response.writeHead(308, { location: `${port}/${query}`, 'content-length': 0 }).end()
  discardRest(request)
}
