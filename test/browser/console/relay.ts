import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { pipeline } from 'node:stream'

/** A way to a port of this machine that can be cut. Disposing ends it. */
interface Relay extends AsyncDisposable {
  readonly port: number
  /** Ends all connections at once. New ones get through. */
  cut(): void
  /** Ends all connections, and every new one at once, until `restore`. */
  close(): void
  restore(): void
}

/** Passes all connections to a port of its own on to `target`. */
export async function startRelay(target: number): Promise<Relay> {
  const sockets = new Set<Socket>()
  let isClosed = false
  const server = createServer((socket) => {
    if (isClosed) return void socket.resetAndDestroy()
    const upstream = connect(target, '127.0.0.1')
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    pipeline(socket, upstream, socket, () => {
      socket.destroy()
      upstream.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy()
  }
  // A TCP server's address is an object.
  const { port } = server.address() as AddressInfo
  const dispose = async () => {
    server.close()
    cut()
    await once(server, 'close')
  }
  const close = () => {
    isClosed = true
    cut()
  }
  const restore = () => {
    isClosed = false
  }
  return { port, cut, close, restore, [Symbol.asyncDispose]: dispose }
}
