import { createServer, type ListenOptions, type Server, type Socket } from 'node:net'
import { errnoOf } from '../../errors.ts'

/** Where to listen. */
export interface Endpoint {
  /** `::` for everything in both families, `localhost` for both loopback addresses, or one IP address. */
  readonly address: string
  /** 0 takes a free one. */
  readonly port: number
}

/** After this many milliseconds of silence the kernel asks a peer of a connection whether it is still there. */
export const KEEP_ALIVE_DELAY = 30_000

/**
 * Connections that may wait to be accepted, which is what Linux allows at most by default: the client of one more tries
 * again after a second. Those that wait take no memory of the daemon.
 */
const BACKLOG = 4096

/**
 * Takes a connection that Node has accepted; others may wait on the socket that listens, whose descriptor stays the
 * server's: Node accepts one in each turn of the event loop. Undefined: it listens no more.
 */
type Accept = (socket: Socket, listening: number | undefined) => void

/** A free IPv4 port may be taken on ::1; so many times another one is tried. */
const PORT_ATTEMPTS = 20

/**
 * Starts listening; resolves with one server, or two for `localhost`. Without IPv6 `::` means all of IPv4 and
 * `localhost` only 127.0.0.1. The caller closes the servers. Rejects with the failed listen(2) error (EADDRINUSE,
 * EACCES, …).
 */
export async function bind(endpoint: Endpoint, accept: Accept): Promise<Server[]> {
  const { address, port } = endpoint
  if (address === 'localhost') return bindLoopback(port, accept)
  try {
    return [await listen(address, port, accept)]
  } catch (error) {
    if (address === '::' && isWithoutIpv6(error)) return [await listen('0.0.0.0', port, accept)]
    throw error
  }
}

/** Servers on sockets that listen already, which they own from now on: those of an earlier daemon. */
export async function bindAgain(sockets: readonly number[], accept: Accept): Promise<Server[]> {
  return Promise.all(sockets.map((fd) => listenOn({ fd }, accept)))
}

/** The descriptor of a listening server, which keeps owning it. */
export function listeningDescriptor(server: Server): number | undefined {
  // The field is missing in the types of Node.
  const { _handle: handle } = server as Server & { readonly _handle?: { readonly fd: number } | null }
  return handle && handle.fd >= 0 ? handle.fd : undefined
}

/** The port that a listening server has. */
export function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on a port')
  return address.port
}

/**
 * Bytes of a request's body after which the connection is read no further until they are taken: fewer than Node
 * reads at once, so that a body that waits holds one piece of up to 64 KiB, and not two.
 */
export const READ_AHEAD = 16 * 1024

async function bindLoopback(port: number, accept: Accept): Promise<Server[]> {
  for (let attempt = 1; ; attempt++) {
    const first = await listen('127.0.0.1', port, accept)
    try {
      return [first, await listen('::1', portOf(first), accept)]
    } catch (error) {
      if (isWithoutIpv6(error)) return [first]
      await new Promise((resolve) => first.close(resolve))
      if (port !== 0 || errnoOf(error) !== 'EADDRINUSE' || attempt === PORT_ATTEMPTS) throw error
    }
  }
}

function listen(host: string, port: number, accept: Accept): Promise<Server> {
  return listenOn({ host, port }, accept)
}

function listenOn(where: ListenOptions & { readonly fd?: number }, accept: Accept): Promise<Server> {
  const server = createServer({
    highWaterMark: READ_AHEAD,
    // As Node's own HTTP server has it, which ends a connection whose client closes its side.
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_DELAY,
  })
  server.on('connection', (socket) => accept(socket, listeningDescriptor(server)))
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // As an argument: where there is a descriptor, Node reads no backlog among the options.
    server.listen(where, BACKLOG, () => {
      server.off('error', reject)
      resolve(server)
    })
  })
}

function isWithoutIpv6(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'EAFNOSUPPORT' || errno === 'EADDRNOTAVAIL'
}
