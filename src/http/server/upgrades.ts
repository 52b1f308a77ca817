import { type IncomingMessage, type RequestListener, type Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** A connection that a client wants to use for another protocol, with what it has sent after its request. */
export interface Upgrade {
  readonly socket: Socket
  readonly head: Buffer
  /** Takes the connection away from its response, which then must not be used. */
  readonly take: () => void
}

const upgrades = new WeakMap<IncomingMessage, Upgrade>()

/** The connection of a request for WebSocket (RFC 6455); undefined for any other request. */
export function upgradeOf(request: IncomingMessage): Upgrade | undefined {
  return upgrades.get(request)
}

/** Connections that are used for another protocol now. */
interface Upgraded {
  /** Ends all of them: they would not end by themselves. */
  end(): void
}

/**
 * Hands all requests to the handler. Those for WebSocket have a response that can be used as any other and is the last
 * one of its connection. All other upgrades are answered as if they were not asked for (RFC 9110 7.8).
 * @param unanswered how many requests of a connection wait for their answers.
 */
export function acceptRequests(
  server: Server,
  handler: RequestListener,
  unanswered: ReadonlyMap<Socket, number>,
): Upgraded {
  const taken = new Set<Socket>()
  server.on('request', handler)
  server.on('upgrade', (request: IncomingMessage, stream, head: Buffer) => {
    // The event's type says Duplex; connections of this server are always sockets.
    const socket = stream as Socket
    // Node has taken its own listeners away.
    socket.on('error', () => socket.destroy())
    if (unanswered.get(socket) !== 0) return void socket.destroy()
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(socket)
    response.once('finish', () => socket.destroySoon())
    const take = () => {
      response.detachSocket(socket)
      taken.add(socket)
      socket.once('close', () => {
        taken.delete(socket)
        response.emit('close')
      })
    }
    // Of its own, as the piece that it came with is freed.
    upgrades.set(request, { socket, head: Buffer.from(head), take })
    handler(request, response)
  })
  return {
    end: () => {
      for (const socket of taken) socket.destroy()
    },
  }
}

/** Whether a request is for WebSocket; without a body, whose end would not be seen. */
export function isWebSocket({ method, headers, httpVersionMinor }: IncomingMessage): boolean {
  const { upgrade = '', 'content-length': length = '0', 'transfer-encoding': coding } = headers
  const plain = method === 'GET' && httpVersionMinor === 1 && length === '0' && coding === undefined
  return plain && upgrade.trim().toLowerCase() === 'websocket'
}
