import type { Server as HttpServer, RequestListener } from 'node:http'
import type { Server, Socket } from 'node:net'
import { errnoOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { bind, type Endpoint, portOf } from './bind.ts'
import { createHttp1, type Http1, type ProtocolServer } from './http1.ts'
import { createHttp2 } from './http2.ts'
import { detectProtocol, type Protocol } from './protocol.ts'

/** The one port of the daemon. HTTP/1.1 and HTTP/2 with prior knowledge share it, and one request handler. */
export interface Listener {
  /** For Fastify's option of that name: takes the handler, gives the HTTP/1.1 server, which never listens by itself. */
  serverFactory(handler: RequestListener): HttpServer
  /** Starts accepting connections; resolves with the port. `serverFactory` must have been called. Rejects as `bind` does. */
  listen(endpoint: Endpoint): Promise<number>
  /** Connections that are open now, whatever they do. */
  readonly openConnections: number
  /** Those connections. */
  readonly connections: Iterable<Socket>
  /**
   * Stops accepting, ends idle connections, tells HTTP/2 clients (GOAWAY) and lets running calls end; after `grace`
   * milliseconds destroys what is left. Resolves once no connection is open. Calling it again changes nothing.
   */
  close(grace: number): Promise<void>
}

/** What a listener needs. */
export interface ListenerOptions {
  readonly log: Log
  /** Milliseconds in which a connection must say what it speaks, and then its first headers; default 60,000. */
  readonly headersTimeout?: number
}

/** Long enough for any real client, short enough that silent ones do not pile up. */
const HEADERS_TIMEOUT = 60_000

/** Makes the listener; nothing is opened before `listen`. */
export function createListener(options: ListenerOptions): Listener {
  const { log, headersTimeout = HEADERS_TIMEOUT } = options
  const connections = new Set<Socket>()
  const undecided = new Set<Socket>()
  let servers: Server[] = []
  let protocols: (Record<Protocol, ProtocolServer> & { readonly http1: Http1 }) | undefined
  let closed: Promise<void> | undefined

  const accept = (socket: Socket) => {
    connections.add(socket)
    undecided.add(socket)
    socket.once('close', () => {
      connections.delete(socket)
      undecided.delete(socket)
    })
    detectProtocol(socket, {
      timeout: headersTimeout,
      decided: (protocol) => {
        undecided.delete(socket)
        protocols?.[protocol].take(socket)
      },
    })
  }

  const shutDown = async (grace: number) => {
    const closing = servers.map((server) => new Promise((resolve) => server.close(resolve)))
    // A server counts a connection as closed a moment before the connection does.
    const ending = [...connections].map((socket) => new Promise((resolve) => socket.once('close', resolve)))
    for (const socket of undecided) socket.destroy()
    for (const protocol of Object.values(protocols ?? {})) protocol.drain()
    const deadline = setTimeout(() => {
      for (const socket of connections) socket.destroy()
    }, grace)
    await Promise.all([...closing, ...ending])
    clearTimeout(deadline)
    protocols?.http1.server.close()
  }

  return {
    serverFactory: (handler) => {
      const how = { handler, headersTimeout }
      const http1 = createHttp1(how)
      protocols = { http1, http2: createHttp2(how) }
      return http1.server
    },
    listen: async (endpoint) => {
      servers = await bind(endpoint, accept)
      for (const server of servers) {
        server.once('drop', () => log.warn({}, 'connections beyond the limit are dropped'))
        server.on('error', (error) => log.error({ errno: errnoOf(error) }, 'accepting a connection failed'))
      }
      const [server] = servers
      if (server === undefined) throw new Error('bind gives at least one server')
      return portOf(server)
    },
    connections,
    get openConnections() {
      return connections.size
    },
    close: (grace) => {
      closed ??= shutDown(grace)
      return closed
    },
  }
}
