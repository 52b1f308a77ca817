import { createServer, type Server } from 'node:net'
import type { Connections } from './connections.ts'

/** A port that is forwarded. */
export interface Forward {
  /** The loopback address that new connections go to. */
  target: string
  /** It takes connections. */
  readonly listening: boolean
  /** Takes no more connections; those that are open go on. Idempotent. */
  close(): void
}

/**
 * Connections that may wait to be accepted while the event loop is busy; the kernel may allow less
 * (net.core.somaxconn).
 */
const BACKLOG = 1_024

/** Listens on the forwarding address. Rejects with the listen error (EADDRINUSE, EADDRNOTAVAIL, EACCES). */
export async function openForward(
  {
    address,
    port,
    connections,
  }: { readonly address: string; readonly port: number; readonly connections: Connections },
  target: string,
): Promise<Forward> {
  const server = createServer({ allowHalfOpen: true }, (client) => {
    connections.carry(client, { host: forward.target, port })
  })
  const forward = {
    target,
    get listening() {
      return server.listening
    },
    close: () => void server.close(),
  }
  await listening(server, address, port)
  return forward
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    // A late error is that of a single connection that could not be accepted.
    server.on('error', reject)
    server.listen({ host, port, exclusive: true, backlog: BACKLOG }, resolve)
  })
}
