import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { type AccessToken, shownToken } from '../../init/access-token.ts'
import type { Users } from '../../users/users.ts'
import { isExempt } from '../access/auth.ts'
import { basicUsername } from '../access/basic-user.ts'
import { letIn } from '../access/cors.ts'
import { discardRest } from '../server/discard-rest.ts'

/** A request that is let in. */
export interface DirectExchange {
  readonly request: IncomingMessage
  /** Nothing of it was sent; it has the headers that all responses have. */
  readonly response: ServerResponse
  /** Counts the requests of this process. */
  readonly id: string
  /** When it came, on the clock of performance.now(). */
  readonly since: number
}

/** A path whose usual requests are answered without the steps of the app, which take longer than such an answer. */
export interface DirectRoute {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** What serves this request; undefined: it is not a usual one, and takes the steps of the app. */
  readonly accept: (request: IncomingMessage) => ((exchange: DirectExchange) => void) | undefined
}

/** What decides whether a request is let in, as the app does. */
interface DirectDeps {
  readonly token: AccessToken
  readonly users: Pick<Users, 'known'>
  readonly onTokenShown: ((request: IncomingMessage | Http2ServerRequest) => void) | undefined
  readonly nextId: () => string
  readonly routes: readonly DirectRoute[]
}

/**
 * Puts the direct routes before the app's handler, which gets all requests that are for another path, that would be
 * refused, or for which something has to be read first. Both answer alike.
 */
export function answerDirectly(handler: RequestListener, deps: DirectDeps): RequestListener {
  const { users, onTokenShown, nextId } = deps
  const routes = new Map(deps.routes.map((route) => [route.path, route]))
  return (request, response) => {
    const route = routes.get(request.url ?? '')
    const serve = route?.method === request.method && isUsual(request) ? route?.accept(request) : undefined
    const since = performance.now()
    const shown = serve === undefined ? 'refused' : tokenOf(request, deps)
    if (serve === undefined || shown === 'refused' || !isKnown(request, users)) return handler(request, response)
    // Answered, and perhaps not read to its end.
    response.on('finish', () => discardRest(request))
    // A client that leaves: the connection closes, which is what counts.
    response.on('error', () => {})
    letIn(request, response)
    if (shown === 'shown') onTokenShown?.(request)
    serve({ request, response, id: nextId(), since })
  }
}

/** HTTP/1.1, without chunks, of which the first may be malformed. */
function isUsual({ httpVersionMajor, httpVersionMinor, headers }: IncomingMessage): boolean {
  return httpVersionMajor === 1 && httpVersionMinor === 1 && headers['transfer-encoding'] === undefined
}

function tokenOf({ method, url, rawHeaders }: IncomingMessage, { token }: DirectDeps): 'shown' | 'free' | 'refused' {
  if (!token.isSet) return 'free'
  if (token.matches(shownToken(rawHeaders))) return 'shown'
  return isExempt(method ?? '', url ?? '') ? 'free' : 'refused'
}

function isKnown({ headers }: IncomingMessage, users: Pick<Users, 'known'>): boolean {
  const name = basicUsername(headers.authorization)
  return name === undefined || users.known(name) !== undefined
}
