import type { RequestListener } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import { createTurns, type Turns } from '../../lib/turns.ts'
import { errorBody } from '../app/error-body.ts'
import { pathOf } from '../app/path.ts'
import { connectionOf } from './connection.ts'
import { createWaitingBodies, type WaitingBodies } from './waiting-bodies.ts'

/** Answered at once: whether the daemon lives and what it does, the token, and what ends commands. */
const AT_ONCE = new Set(['/health', '/ready', '/metrics', '/init', '/process.Process/SendSignal'])

/**
 * Some 30 MB of requests that are read and wait for their turn. Beyond it each connection may have one, so that many
 * requests of a few connections lock no other connection out.
 */
const MAX_WAITING = 4096

/**
 * Of them, those of one connection that are not answered yet: clients send one after the other, and a read may bring
 * hundreds. Further ones have their turn like others.
 */
const MAX_URGENT = 4

/** Milliseconds of work for those of all connections in one turn of the event loop, health checks not among them. */
const URGENT_MS = 1

const UNAVAILABLE = 503

/** A body of a request that is answered at once and always let in: a token, variables. */
const SMALL_BYTES = 16 * 1024

/**
 * Lets requests in as the event loop has time, in turn for each connection, so that many of them delay neither
 * what is under way nor health checks. Those whose client has left meanwhile are dropped.
 * @param bodies counts what has come of their bodies.
 */
export function admitInTurn(
  handler: RequestListener,
  turns: Turns,
  bodies: Pick<WaitingBodies, 'add'>,
): RequestListener {
  let waiting = 0
  // Until they are answered: what they bring may be read by and by.
  const urgentBodies = createWaitingBodies(SMALL_BYTES)
  const ofConnection = new Map<object, number>()
  const urgentOfConnection = new WeakMap<object, number>()
  const health = createTurns()
  const soon = createTurns(undefined, URGENT_MS)
  const letInAtOnce = (path: string, ...[request, response]: Parameters<RequestListener>) => {
    const owner = connectionOf(request) ?? request
    const over = urgentBodies.add(request)
    if (over === undefined) return refuse(request, response)
    const own = urgentOfConnection.get(owner) ?? 0
    urgentOfConnection.set(owner, own + 1)
    response.once('close', () => {
      over()
      urgentOfConnection.set(owner, (urgentOfConnection.get(owner) ?? 1) - 1)
    })
    const its = own >= MAX_URGENT ? turns : path === '/health' ? health : soon
    its.run(owner, () => {
      if (!response.destroyed && !response.headersSent) handler(request, response)
    })
  }
  return (request, response) => {
    // Over HTTP/2 the read that brings a call may also reset it.
    if (response.destroyed) return
    const path = pathOf(request.url ?? '')
    if (AT_ONCE.has(path)) return letInAtOnce(path, request, response)
    // Nothing waits, so nothing has to be counted.
    if (waiting === 0 && turns.free) return handler(request, response)
    const owner = connectionOf(request) ?? request
    const own = ofConnection.get(owner) ?? 0
    if (waiting >= MAX_WAITING && own > 0) return refuse(request, response)
    const begun = bodies.add(request)
    if (begun === undefined) return refuse(request, response)
    waiting++
    ofConnection.set(owner, own + 1)
    turns.run(owner, () => {
      waiting--
      begun()
      const left = (ofConnection.get(owner) ?? 0) - 1
      if (left > 0) ofConnection.set(owner, left)
      else ofConnection.delete(owner)
      if (!response.destroyed && !response.headersSent) handler(request, response)
    })
  }
}

function refuse(...[request, response]: Parameters<RequestListener>): void {
  const body = errorBody(UNAVAILABLE, 'too many requests wait; try again')
  const overHttp1 = !('stream' in (request as unknown as Http2ServerRequest))
  response.writeHead(UNAVAILABLE, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
    'Retry-After': 1,
    ...(overHttp1 ? { Connection: 'close' } : {}),
  })
  response.end(body)
}
