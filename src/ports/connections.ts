import type { Socket } from 'node:net'
import type { Log } from '../log.ts'
import { descriptorShare } from '../native/descriptor-share.ts'
import { relay, type Target } from './relay.ts'

/** The connections of all forwards. */
export interface Connections {
  /** Relays a connection; resets it if there are too many. */
  carry(client: Socket, target: Target): void
  /** The sockets of the clients that are connected now. */
  readonly clients: Iterable<Socket>
  /** When one began or ended last, on the clock of performance.now(); undefined: never. */
  readonly last: number | undefined
  /** Resets all. */
  close(): void
}

/**
 * Connections of all forwards together, twice the thousand that are promised, if there are descriptors. Each takes two
 * and, with both sides stalled, 256 KiB.
 */
const MAX_CONNECTIONS = 2_048

/**
 * Makes the list of connections. The log gets a line when the limit is met, and again only after half of them were
 * gone.
 */
export function createConnections(log: Log, limit = descriptorShare(1 / 16, MAX_CONNECTIONS)): Connections {
  const open = new Set<Socket>()
  const clients = new Set<Socket>()
  let full = false
  let last: number | undefined
  const keep = (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => {
      open.delete(socket)
      if (open.size <= limit) full = false
    })
  }
  const refuse = (client: Socket) => {
    client.on('error', () => {})
    client.resetAndDestroy()
    if (!full) log.warn({ limit }, 'too many connections to forwarded ports: more are reset')
    full = true
  }
  return {
    clients,
    get last() {
      return last
    },
    carry: (client, target) => {
      // Each is two sockets.
      if (open.size >= 2 * limit) return refuse(client)
      keep(client)
      clients.add(client)
      last = performance.now()
      client.once('close', () => {
        clients.delete(client)
        last = performance.now()
      })
      keep(relay(client, target))
    },
    close: () => {
      for (const socket of open) socket.resetAndDestroy()
    },
  }
}
