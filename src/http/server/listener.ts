import type { Server as HttpServer, IncomingMessage, RequestListener } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { Server, Socket } from 'node:net'
import { errnoOf } from '../../errors.ts'
import type { AccessToken } from '../../init/access-token.ts'
import { throttle } from '../../lib/throttle.ts'
import { loopTurns } from '../../lib/turns.ts'
import type { Log } from '../../log.ts'
import { descriptorShare } from '../../native/descriptor-share.ts'
import { admitInTurn } from './admission.ts'
import { bind, bindAgain, type Endpoint, listeningDescriptor, portOf } from './bind.ts'
import { createConnections } from './connections.ts'
import { createEntrance } from './entrance.ts'
import { createHttp1, type Http1, type HttpOptions, type ProtocolServer } from './http1.ts'
import { createHttp2 } from './http2.ts'
import { beginsInit, createInitTurns } from './init-turns.ts'
import { detectProtocol, type Protocol } from './protocol.ts'
import { createUrgentReads } from './read-urgent.ts'
import { startReading } from './reading.ts'
import { createSparePlaces } from './spare-places.ts'
import { createTakingTurns } from './taking-turns.ts'
import { createWaitingBodies, type WaitingBodies } from './waiting-bodies.ts'

/** The one port of the daemon. HTTP/1.1 and HTTP/2 with prior knowledge share it, and one request handler. */
export interface Listener {
  /**
   * For Fastify's option of that name: takes the handler, returns the HTTP/1.1 server, which never listens by itself.
   */
  serverFactory(handler: RequestListener): HttpServer
  /** This request has shown the access token: its connection is kept for longer, and may have more calls given up. */
  showedToken(request: IncomingMessage | Http2ServerRequest): void
  /**
   * Starts accepting connections; resolves with the port. `serverFactory` must have been called. Rejects as `bind`
   * does.
   * @param sockets listening already, to be taken over in the place of new ones.
   */
  listen(endpoint: Endpoint, sockets?: readonly number[]): Promise<number>
  /** The descriptors that are listened on, which stay the listener's. */
  readonly descriptors: readonly number[]
  /** Connections that are open now, whatever they do. */
  readonly openConnections: number
  /** Those connections. */
  readonly connections: Iterable<Socket>
  /**
   * Stops accepting, ends idle connections, sends GOAWAY to HTTP/2 clients and lets running calls end; after `grace`
   * milliseconds destroys what is left. Resolves once no connection is open. Calling it again changes nothing.
   * @param undecided what becomes of connections that have not said yet what they speak, or were accepted and wait for
   * their turn; default: `ended` at once.
   */
  close(grace: number, undecided?: 'ended' | 'served'): Promise<void>
}

export interface ListenerOptions {
  readonly log: Log
  readonly token: Pick<AccessToken, 'isSet'>
  /** Bytes that the daemon and all others in its cgroup, or machine, may have; default: enough. */
  readonly memory?: number
  /** Connections at a time; default as `connectionLimit` says. */
  readonly limit?: number
  /** Milliseconds in which a connection must say what it speaks, and then its first headers; default 60,000. */
  readonly headersTimeout?: number
}

/** Long enough for any real client, short enough that silent ones do not pile up. */
const HEADERS_TIMEOUT = 60_000

/** Far above what clients hold. */
const MAX_CONNECTIONS = 8192

/** Of the memory there is for each connection: with some 20 KiB, its last request included, all take a twelfth. */
const CONNECTION_SHARE = 256 * 1024

function connectionLimit(memory = Number.POSITIVE_INFINITY): number {
  return Math.max(1, Math.min(descriptorShare(1 / 2, MAX_CONNECTIONS), Math.floor(memory / CONNECTION_SHARE)))
}

const WARNING_INTERVAL_MS = 60_000

/** Warns at most once a minute that the limit is reached. */
function warnWhenFull(log: Log): (madeRoom: boolean) => void {
  let warned = Number.NEGATIVE_INFINITY
  return (madeRoom) => {
    if (performance.now() - warned < WARNING_INTERVAL_MS) return
    warned = performance.now()
    if (madeRoom) log.warn({}, 'connections are at their limit: silent ones make room for new ones')
    else log.warn({}, 'connections beyond the limit are dropped')
  }
}

function addUntilClosed(socket: Socket, sets: readonly Set<Socket>[]): void {
  for (const set of sets) set.add(socket)
  socket.once('close', () => {
    for (const set of sets) set.delete(socket)
  })
}

interface Open {
  readonly servers: readonly Server[]
  readonly connections: ReadonlySet<Socket>
  /** Those of them that are ended at once. */
  readonly ended: Iterable<Socket>
  readonly protocols: readonly ProtocolServer[]
}

/** Resolves when nothing is open; what is still after `grace` milliseconds is destroyed. */
async function endAll({ servers, connections, ended, protocols }: Open, grace: number): Promise<void> {
  const closing = servers.map((server) => new Promise((resolve) => server.close(resolve)))
  // A server counts a connection as closed a moment before the connection does.
  const ending = [...connections].map((socket) => new Promise((resolve) => socket.once('close', resolve)))
  for (const socket of ended) socket.destroy()
  for (const protocol of protocols) protocol.drain()
  const deadline = setTimeout(() => {
    for (const socket of connections) socket.destroy()
  }, grace)
  await Promise.all([...closing, ...ending])
  clearTimeout(deadline)
}

/** The first of the servers, all of which log from now on what goes wrong with them. */
function firstOf(servers: readonly Server[], log: Log): Server {
  let last: unknown
  // It comes again and again for as long as it lasts.
  const report = throttle(() => log.error({ errno: errnoOf(last) }, 'accepting a connection failed'), 1000)
  for (const server of servers)
    server.on('error', (error) => {
      last = error
      report()
    })
  const [server] = servers
  if (server === undefined) throw new Error('bind returns at least one server')
  return server
}

type Protocols = Record<Protocol, ProtocolServer> & { readonly http1: Http1 }

function makeProtocols(options: HttpOptions, bodies: WaitingBodies): Protocols {
  const how = { ...options, handler: admitInTurn(options.handler, loopTurns, bodies) }
  return { http1: createHttp1(how), http2: createHttp2(how) }
}

/** Makes the listener; nothing is opened before `listen`. */
export function createListener(options: ListenerOptions): Listener {
  const { log, token, headersTimeout = HEADERS_TIMEOUT, limit = connectionLimit(options.memory) } = options
  const table = createConnections({ limit, tokenIsSet: () => token.isSet, onFull: warnWhenFull(log) })
  const [bodies, spare, readUrgent] = [createWaitingBodies(), createSparePlaces(), createUrgentReads()]
  const [connections, undecided] = [new Set<Socket>(), new Set<Socket>()]
  let servers: Server[] = []
  let protocols: Protocols | undefined
  let closed: Promise<void> | undefined

  const take = (socket: Socket, protocol: Protocol) => {
    undecided.delete(socket)
    protocols?.[protocol].take(startReading(socket))
  }
  const takeInTurn = createTakingTurns({ take, undecided, bodies })
  const initTurns = createInitTurns((socket) => take(socket, 'http1'))
  const enter = (socket: Socket) => {
    const timeout = table.add(socket) ? headersTimeout : spare.add(socket)
    addUntilClosed(socket, [connections, undecided])
    detectProtocol(readUrgent(socket), timeout, (protocol, beginning) => {
      if (!spare.mayStay(socket, beginning)) socket.destroy()
      else if (protocol === 'http1' && beginsInit(beginning)) initTurns.add(socket)
      else takeInTurn(socket, protocol, beginning)
    })
  }
  const entrance = createEntrance({ ...bodies, ...initTurns, waiting: descriptorShare(1 / 4, MAX_CONNECTIONS), enter })
  const shutDown = async (grace: number, ended: Iterable<Socket>) => {
    entrance.close(ended === undecided ? 'ended' : 'served')
    await endAll({ servers, connections, ended, protocols: Object.values(protocols ?? {}) }, grace)
    protocols?.http1.server.close()
  }

  return {
    serverFactory: (handler) => {
      protocols = makeProtocols({ handler, headersTimeout, connections: table }, bodies)
      return protocols.http1.server
    },
    listen: async (endpoint, sockets = []) => {
      servers = sockets.length > 0 ? await bindAgain(sockets, entrance.accept) : await bind(endpoint, entrance.accept)
      return portOf(firstOf(servers, log))
    },
    get descriptors() {
      return servers.flatMap((server) => listeningDescriptor(server) ?? [])
    },
    showedToken: (request) => table.showedToken('stream' in request ? request.stream : request.socket),
    connections,
    get openConnections() {
      return connections.size
    },
    close: (grace, silent = 'ended') => {
      closed ??= shutDown(grace, silent === 'ended' ? undecided : [])
      return closed
    },
  }
}
