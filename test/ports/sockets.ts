import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Everything that comes over a connection, as text; '' when it is refused or reset. */
export async function received(host: string, port: number): Promise<string> {
  const socket = connect({ host, port })
  const chunks: Buffer[] = []
  try {
    for await (const chunk of socket) chunks.push(chunk)
    return Buffer.concat(chunks).toString()
  } catch {
    return ''
  }
}

/** An open connection; both directions end apart. */
export async function connected(host: string, port: number): Promise<Socket> {
  const socket = connect({ host, port, allowHalfOpen: true })
  await once(socket, 'connect')
  // A test that cares has a listener of its own.
  socket.on('error', () => {})
  return socket
}

/** A server of this process on 127.0.0.1. Disposing ends its connections too. */
export interface TestServer extends AsyncDisposable {
  readonly port: number
  readonly server: Server
}

export async function serve(onConnection: (socket: Socket) => unknown): Promise<TestServer> {
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    socket.on('error', () => {})
    onConnection(socket)
  })
  server.listen({ host: '127.0.0.1', port: 0, backlog: 2048 })
  await once(server, 'listening')
  // Of a server that listens on TCP the address is an object.
  const { port } = server.address() as AddressInfo
  return {
    port,
    server,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy()
      if (server.listening) await new Promise((resolve) => server.close(resolve))
    },
  }
}
