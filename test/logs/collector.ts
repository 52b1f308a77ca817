import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** A request that the collector got. */
export interface Post {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** The raw body. */
  readonly text: string
  /** Which connection it came over, counted from 1. */
  readonly connection: number
}

/** A log collector as the platform has one. Disposing ends its connections too. */
export interface Collector extends AsyncDisposable {
  readonly address: string
  readonly posts: readonly Post[]
  /** The bodies, parsed. */
  lines(): Record<string, unknown>[]
  /** Status of the answers from now on; undefined: none at all. */
  status: number | undefined
  /** Resets the connections that are open. */
  reset(): void
}

/** Listens on `host`, at a free port. */
export async function startCollector(host = '127.0.0.1'): Promise<Collector> {
  const posts: Post[] = []
  const connections = new Map<Socket, number>()
  const collector = { status: 204 as number | undefined }
  const server = createServer(async (request, response) => {
    const text = Buffer.concat(await request.toArray()).toString()
    const { method = '', url = '', headers } = request
    posts.push({ method, url, headers, text, connection: connections.get(request.socket) ?? 0 })
    if (collector.status !== undefined) response.writeHead(collector.status).end()
  })
  server.on('connection', (socket) => connections.set(socket, connections.size + 1))
  server.listen(0, host)
  await once(server, 'listening')
  // A server that listens on TCP has such an address.
  const { port } = server.address() as AddressInfo
  return Object.assign(collector, {
    address: `http://${host.includes(':') ? `[${host}]` : host}:${port}/logs`,
    posts,
    lines: () => posts.map(({ text }): Record<string, unknown> => JSON.parse(text)),
    reset: () => {
      for (const socket of connections.keys()) socket.resetAndDestroy()
    },
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  })
}
