import {
  createServer,
  IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http'
import type { Socket } from 'node:net'
import { freeNow } from '../../budget/memory.ts'
import { errorBody } from '../app/error-body.ts'
import type { Connections } from './connections.ts'
import { discardRest } from './discard-rest.ts'
import { joinPieces } from './join-pieces.ts'
import { keepFewParsers } from './kept-parsers.ts'
import { linger } from './linger.ts'
import { createPipelined } from './pipelined.ts'
import { createReadingTurns, type ReadingTurns } from './reading-turns.ts'
import { faultOf, MAX_HEADERS } from './request-faults.ts'
import { createRooms } from './rooms.ts'
import { readLittleOf } from './small-reads.ts'
import { noticeReset } from './unread-resets.ts'
import { acceptRequests, isWebSocket } from './upgrades.ts'

/**
 * Above the 620 s and 600 s of the proxies in front, so that it is never this side that closes an idle connection first
 * (contract A5).
 */
export const KEEP_ALIVE_TIMEOUT = 640_000

/** Header timeouts need no precision: they are checked so many times in their length. */
const CHECKS = 6

/**
 * Bytes of all headers of a request, which Node holds until they are complete, for any client: room for long signed
 * URLs, and for metadata far above its own limit, so that this is the limit that clients meet. 8,192 connections hold
 * some 90 MB in sum: 16, 16 and 55.
 */
const HEADER_ROOMS = [
  { bytes: 128 * 1024, connections: 128 },
  { bytes: 16 * 1024, connections: 1024 },
]
const LEAST_HEADER_BYTES = 8 * 1024

/** What Node's parser is told of a request after which no other follows. */
const UPGRADED = 2

/** The status of a method that no resource has. */
export const NOT_IMPLEMENTED = 501

/** One protocol's half of the listener: serves the connections that it is given. */
export interface ProtocolServer {
  /** Serves a connection whose first bytes wait to be read. */
  take(socket: Socket): void
  /** Ends the connections that are idle, each other one once its last answer is out, and refuses what is new. */
  drain(): void
}

/** HTTP/1.1 for connections that were accepted elsewhere. `server` is what Fastify wants to own; it never listens. */
export interface Http1 extends ProtocolServer {
  readonly server: Server
}

/** How connections are served. */
export interface HttpOptions {
  readonly handler: RequestListener
  /** Milliseconds that the headers of a request, or the first words of HTTP/2, may take. */
  readonly headersTimeout: number
  readonly connections: Connections
}

/**
 * Makes the HTTP/1.1 half: no limit on the duration of a request, its body or its answer, as all of them may be
 * streams.
 */
export function createHttp1({ handler, headersTimeout, connections }: HttpOptions): Http1 {
  const server = makeServer(headersTimeout)
  const headers = createRooms(HEADER_ROOMS, LEAST_HEADER_BYTES)
  const pipelined = createPipelined(connections)
  const unanswered = new Map<Socket, number>()
  const latest = new WeakMap<Socket, Exchange>()
  const handle = unlessFaulty(handler)
  let draining = false
  const take: RequestListener = (request, response) => {
    const { socket } = request
    // Its client may leave while the body is not read.
    request.on('error', () => {})
    const before = unanswered.get(socket) ?? 0
    const hold = pipelined.take(socket, before)
    if (hold === undefined) cutOff(socket)
    // What was read with the request that went too far.
    if (hold === undefined || socket.destroyed) return
    remember(latest, request, response)
    unanswered.set(socket, before + 1)
    connections.began(socket)
    if (draining) response.setHeader('connection', 'close')
    response.once('close', () => {
      hold.release()
      connections.ended(socket)
      const count = unanswered.get(socket)
      // A connection that is gone was closed before its responses are.
      if (count === undefined) return
      unanswered.set(socket, count - 1)
      if (draining && count === 1) socket.destroySoon()
    })
    handle(request, response)
  }
  const upgraded = acceptRequests(server, take, unanswered)
  refuseFaults(server, { latest, unanswered })
  return {
    server,
    take: (socket) => {
      unanswered.set(socket, 0)
      linger(socket, () => latest.get(socket)?.request)
      freeBeginning(socket.once('close', () => unanswered.delete(socket)))
      // Node reads this when it makes the parser of the connection.
      Object.assign(server, { maxHeaderSize: headers.take(socket) })
      server.emit('connection', socket)
    },
    drain: () => {
      draining = true
      upgraded.end()
      for (const [socket, count] of unanswered) if (count === 0) socket.destroySoon()
    },
  }
}

/** Ends a connection while its parser runs: of what was read with the request no more is parsed. */
function cutOff(socket: Socket): void {
  // Node's parser of a connection has no type; told that the connection is upgraded it stops.
  const { parser } = socket as Socket & { parser?: { onIncoming: () => number } | null }
  if (parser) parser.onIncoming = () => UPGRADED
  socket.destroy()
}

/**
 * It is the newest of its connection until it is answered: the connection may be idle for long, and a response leads to
 * all that its answer was made of.
 */
function remember(latest: WeakMap<Socket, Exchange>, ...[request, response]: Parameters<RequestListener>): void {
  const { socket } = request
  const exchange = { request, response }
  latest.set(socket, exchange)
  response.once('close', () => {
    if (latest.get(socket) !== exchange) return
    if (request.complete) latest.delete(socket)
    else latest.set(socket, { request })
  })
}

/** Frees the first piece, by which the protocol was recognized. The parser has copied what it passes on. */
function freeBeginning(socket: Socket): void {
  socket.once('data', (beginning: Buffer) => void setImmediate(() => freeNow(beginning)))
}

/** Passes on requests that are none to be refused. */
function unlessFaulty(handler: RequestListener): RequestListener {
  const turns = createReadingTurns()
  return (request, response) => {
    noticeBody(request, turns)
    const status = faultOf(request)
    if (status === undefined) handler(request, response)
    else refuseRequest(response, status)
  }
}

/**
 * Node calls `_dump` when a call was answered before anything of its body was read. It would read on for as long as
 * there is something, in new memory each time.
 */
class Request extends IncomingMessage {
  _dump(): void {
    if (this.complete) this.resume()
    else discardRest(this)
  }
}

function makeServer(headersTimeout: number): Server {
  keepFewParsers()
  const server = createServer({
    IncomingMessage: Request,
    requestTimeout: 0,
    headersTimeout,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT,
    connectionsCheckingInterval: headersTimeout / CHECKS,
    shouldUpgradeCallback: isWebSocket,
  })
  server.maxHeadersCount = MAX_HEADERS
  // It never listens itself, and only this event starts its check of header timeouts.
  server.emit('listening')
  return server
}

interface Underway {
  /** The newest request of each connection. */
  readonly latest: WeakMap<Socket, Exchange>
  /** How many requests of a connection are not answered yet. */
  readonly unanswered: ReadonlyMap<Socket, number>
}

/** Its body may stay unread, and its chunks may have a byte each. */
function noticeBody(request: IncomingMessage, turns: ReadingTurns): void {
  noticeReset(request)
  if (request.headers['transfer-encoding'] === undefined) return
  const { socket } = request
  turns.add(socket)
  joinPieces(request, { onMany: () => readLittleOf(socket), onSome: () => turns.work(socket) })
}

/** Answers what is no request. */
function refuseFaults(server: Server, { latest, unanswered }: Underway): void {
  server.on('clientError', (error: NodeJS.ErrnoException, stream) => {
    // The event's type says Duplex; connections of this server are always sockets.
    const socket = stream as Socket
    const unfinished = unfinishedOf(latest.get(socket))
    if (unfinished !== undefined) refuseRequest(unfinished, statusOf(error.code))
    else if (!socket.writable || unanswered.get(socket) !== 0) socket.destroy()
    else refuse(socket, statusOf(error.code))
  })
  // Without this Node closes the connection without an answer. No resource here is reached through a tunnel (RFC 9110
  // 9.1, 9.3.6).
  server.on('connect', (_request, stream) => {
    const socket = stream as Socket
    if (unanswered.get(socket) === 0) refuse(socket, NOT_IMPLEMENTED)
    else socket.destroy()
  })
}

interface Exchange {
  readonly request: IncomingMessage
  /** Undefined: it is closed. */
  readonly response?: ServerResponse
}

/** The response to a request whose body is still on its way, as long as nothing of it was sent. */
function unfinishedOf(exchange: Exchange | undefined): ServerResponse | undefined {
  if (exchange === undefined) return undefined
  const { request, response } = exchange
  return request.complete || response === undefined || response.headersSent || response.destroyed ? undefined : response
}

function statusOf(code: string | undefined): number {
  return code === 'HPE_HEADER_OVERFLOW' ? 431 : code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
}

/** Answers what is not a request. Nothing of an earlier answer may be on its way. */
function refuse(socket: Socket, status: number): void {
  const body = textOf(status)
  const headers = Object.entries({ ...HEADERS, 'Content-Length': Buffer.byteLength(body) })
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines}\r\n${body}`)
}

/** Answers a request in the place of the handler, which may have it already: what it still sends is ignored. */
function refuseRequest(response: ServerResponse, status: number): void {
  const body = textOf(status)
  response.writeHead(status, { ...HEADERS, 'Content-Length': Buffer.byteLength(body) }).end(body)
}

const HEADERS = {
  'Content-Type': 'application/json; charset=utf-8',
  'X-Content-Type-Options': 'nosniff',
  Connection: 'close',
}

function textOf(status: number): string {
  return errorBody(status, (STATUS_CODES[status] ?? '').toLowerCase())
}
