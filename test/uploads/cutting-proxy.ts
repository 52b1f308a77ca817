import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A way to a port that breaks. */
export interface CuttingProxy extends AsyncDisposable {
  readonly url: string
  /** Connections that were cut so far. */
  readonly cuts: number
}

/** Passes on what goes to a port, and cuts the connection whenever so many bytes have gone there, so many times. */
export async function startCuttingProxy(port: number, everyBytes: number, times: number): Promise<CuttingProxy> {
  let left = everyBytes
  let cuts = 0
  const open = new Set<Socket>()
  const server = createServer((client) => {
    const target = connect(port, '127.0.0.1')
    const end = () => {
      for (const socket of [client, target]) {
        socket.destroy()
        open.delete(socket)
      }
    }
    for (const socket of [client, target]) open.add(socket.on('error', end).on('close', end))
    target.pipe(client)
    client.on('data', (chunk: Buffer) => {
      left -= chunk.length
      if (left < 0 && cuts < times) {
        cuts++
        left = everyBytes
        return end()
      }
      if (!target.write(chunk)) {
        client.pause()
        target.once('drain', () => client.resume())
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get cuts() {
      return cuts
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
