import {
  constants,
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  Http2ServerResponse,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import { withNodesCode } from '../../lib/engine-flags.ts'
import { resetsIn } from './beginning.ts'
import { discardRest } from './discard-rest.ts'
import { type HttpOptions, NOT_IMPLEMENTED, type ProtocolServer } from './http1.ts'
import { closeWhenIdle, countCalls, isOver, UNSEEN_WITHOUT_TOKEN } from './http2-sessions.ts'
import { joinPieces } from './join-pieces.ts'
import { createReadingTurns } from './reading-turns.ts'
import { readLittleOf } from './small-reads.ts'
import { createStreamMemory, type StreamMemory } from './stream-memory.ts'
import { countUnreadBody } from './unread-body.ts'

/**
 * Calls at a time on one connection, twice what servers in Go allow: clients wait, or open another connection. What was
 * reset counts until it is torn down, so this also bounds how many calls one read brings in: Node refuses the others
 * before code of ours runs, once the client has acknowledged this number.
 */
const MAX_CONCURRENT_STREAMS = 500

/**
 * Bytes of one upload on their way, which Node holds while they are not read: counted with its call (`countUnreadBody`),
 * so that some hundred uploads may stall at a time. Over a network of 10 ms they are 25 MB/s.
 */
const STREAM_WINDOW = 256 * 1024

/**
 * Bytes of all uploads of a connection on their way. It bounds no memory: Node gives it back at once, whether or not
 * they are read.
 */
const SESSION_WINDOW = 1024 * 1024

/**
 * A connection takes memory for some 27 KB and its headers, and so the places of 8 connections of HTTP/1.1:
 * there are 1,024 at most.
 */
const PLACES = 8

/**
 * Mebibytes that Node may hold for one connection before it refuses new streams: 100 streams of output with a few
 * messages of 64 KiB each in flight, in base64, take about 30.
 */
const MAX_SESSION_MEMORY = 128

/** Bytes of all headers of a request, as in HTTP/1.1. */
const MAX_HEADER_LIST_SIZE = 128 * 1024

/**
 * Streams that a client with the token may reset at once, and per second: every call that is given up (a stopped watch,
 * a closed terminal, a `head` on a log) is one, so storms of them are normal, and one proxy may carry those of all
 * clients. This is more than one connection can bring in at full speed.
 */
const STREAM_RESETS = { streamResetBurst: 100_000, streamResetRate: 50_000 }

/**
 * Calls beyond the limit that are refused in a row before the whole connection, and every call on it, is given up.
 * Calls that were reset count until they are torn down, so a storm of resets comes with refusals; Node's own number is
 * 100.
 */
const MAX_REJECTED_STREAMS = 100_000

/**
 * Makes the HTTP/2 half (prior knowledge, without TLS), with the handler of the HTTP/1.1 half. The server itself is
 * made for the first connection: most daemons never see one, and node's HTTP/2 takes 9 MB.
 */
export function createHttp2(options: HttpOptions): ProtocolServer {
  const sessions = new Set<ServerHttp2Session>()
  const turns = createReadingTurns()
  let draining = false
  let taken: Socket | undefined
  const onSession = (session: ServerHttp2Session) => {
    // The event comes while the connection is handed over.
    if (taken !== undefined) {
      options.connections.alias(session, taken)
      sockets.set(session, taken)
      turns.add(taken)
    }
    sessions.add(session)
    session.once('close', () => {
      sessions.delete(session)
      // Node holds a session whose client has not acknowledged its settings, and by the stack of a protocol error its
      // connection holds Node's part of the session, 20 KB: neither may lead to the other.
      sockets.delete(session)
      options.connections.forget(session)
    })
    session.setLocalWindowSize(SESSION_WINDOW)
    closeWhenIdle(session, options.headersTimeout)
    countCalls(session, options)
    if (draining) session.close()
  }
  const onStream = (stream: ServerHttp2Stream) => {
    const socket = socketOf(stream)
    if (socket !== undefined) turns.work(socket)
  }
  let server: Http2Server | undefined
  return {
    take: (socket) => {
      // HTTP/2 has no half-closed connections: one whose peer has gone must end as a whole.
      socket.allowHalfOpen = false
      options.connections.enlarge(socket, PLACES)
      if (socket.destroyed) return
      // Node takes in all that has come, with an object for every call, before any code of the daemon runs.
      if (resetsIn(peek(socket)) > UNSEEN_WITHOUT_TOKEN.burst) return void socket.destroy()
      server ??= withNodesCode(() => makeServer(options, onSession, onStream))
      taken = socket
      server.emit('connection', socket)
      taken = undefined
    },
    drain: () => {
      draining = true
      for (const session of sessions) session.close()
    },
  }
}

function peek(socket: Socket): Buffer {
  const beginning: Buffer = socket.read() ?? Buffer.alloc(0)
  socket.unshift(beginning)
  return beginning
}

/**
 * What handlers use of a response of HTTP/1.1, and Node's compatibility layer leaves out: whether it is gone. Made for
 * the server, as the layer is loaded with it.
 */
function makeResponseClass() {
  class Response extends Http2ServerResponse {}
  Object.defineProperty(Response.prototype, 'destroyed', {
    get(this: Response) {
      return this.stream.destroyed
    },
  })
  return Response
}

function makeServer(
  { handler, connections }: HttpOptions,
  onSession: (session: ServerHttp2Session) => void,
  onWork: (stream: ServerHttp2Stream) => void,
): Http2Server {
  const server = createServer({
    settings: {
      maxConcurrentStreams: MAX_CONCURRENT_STREAMS,
      initialWindowSize: STREAM_WINDOW,
      maxHeaderListSize: MAX_HEADER_LIST_SIZE,
    },
    maxSessionMemory: MAX_SESSION_MEMORY,
    maxSessionRejectedStreams: MAX_REJECTED_STREAMS,
    Http2ServerResponse: makeResponseClass(),
    ...STREAM_RESETS,
  })
  server.on('session', onSession)
  // HTTP/2 requests and responses of Node's compatibility layer offer what handlers use of those of HTTP/1.1.
  const memory = createStreamMemory(connections)
  server.on('request', withinMemory(handler as unknown as Handler, memory, onWork))
  server.on(
    'connect',
    withinMemory((_request, response) => response.writeHead(NOT_IMPLEMENTED).end(), memory, onWork),
  )
  passOverReset(server)
  return server
}

/** Makes no request and no response for streams that are over already. */
function passOverReset(server: Http2Server): void {
  // Node's own, which came with the listener of requests and makes them.
  const listeners = server.listeners('stream')
  server.removeAllListeners('stream')
  server.on('stream', (stream, headers, ...rest) => {
    if (isOver(stream, headers)) return
    for (const listener of listeners) listener.call(server, stream, headers, ...rest)
  })
}

type Handler = (request: Http2ServerRequest, response: Http2ServerResponse) => unknown

/** Refuses calls for which there is no memory, with the code after which clients try again (RFC 9113 8.7). */
function withinMemory(handler: Handler, memory: StreamMemory, onWork: (stream: ServerHttp2Stream) => void): Handler {
  return (request, response) => {
    const { stream } = request
    onWork(stream)
    const hold = stream.session === undefined ? undefined : memory.take(stream.session, request.rawHeaders)
    if (hold === undefined) return stream.close(constants.NGHTTP2_REFUSED_STREAM)
    stream.once('close', () => hold.release())
    // A request without a body may stay unread, and Node would keep such a stream though its client resets it with
    // NO_ERROR.
    if (stream.endAfterHeaders) stream.resume()
    else {
      joinEarly(stream)
      countUnreadBody(request, hold, () => giveUp(stream))
      // Node's response says that it is finished when the whole call is over.
      stream.once('finish', () => discardRest(request))
      joinPieces(stream, { onMany: () => readLittleOf(socketOf(stream)) })
      const { push } = stream
      stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
        onWork(stream)
        return push.call(stream, chunk, encoding)
      }
    }
    handler(request, response)
  }
}

/**
 * Makes one piece of what has come of a body with its headers: they are reported a moment later, and there may be
 * thousands of frames until then, each of which takes a hundred bytes beside its content.
 */
function joinEarly(body: ServerHttp2Stream): void {
  const early: Buffer | null = body.read()
  if (early !== null) body.unshift(early)
}

/** The connection of each session, whose own `socket` does not say what it has. */
const sockets = new WeakMap<object, Socket>()

function socketOf({ session }: ServerHttp2Stream): Socket | undefined {
  return session && sockets.get(session)
}

/** Ends a call whose body has no room, with the code that stands for spent resources in gRPC. */
function giveUp(stream: ServerHttp2Stream): void {
  stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM)
  // Node keeps a stream with unread bytes otherwise.
  stream.destroy()
}
