import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'

interface CuttingOptions {
  /** Port of the daemon. */
  readonly port: number
  /**
   * Called for each connection, with its number from 0: bytes of answers after which it is cut; undefined: never.
   */
  readonly cutAfter: (connection: number) => number | undefined
  readonly onCut: () => void
}

/** A proxy on loopback that breaks connections within answers: every second one by a reset. Disposing closes it. */
export async function cuttingProxy({ port, cutAfter, onCut }: CuttingOptions) {
  let connections = 0
  const server = createServer((client) => {
    const number = connections++
    let left = cutAfter(number) ?? Number.POSITIVE_INFINITY
    const daemon = connect(port, '127.0.0.1')
    const close = () => {
      client.destroy()
      daemon.destroy()
    }
    for (const socket of [client, daemon]) socket.on('error', close).on('close', close)
    client.pipe(daemon)
    daemon.on('data', (bytes) => {
      if (left === 0) return
      const part = bytes.subarray(0, left)
      left -= part.length
      if (left > 0) {
        if (!client.write(part)) {
          daemon.pause()
          client.once('drain', () => daemon.resume())
        }
        return
      }
      onCut()
      client.write(part, () => {
        daemon.destroy()
        if (number % 2 === 0) client.resetAndDestroy()
        else client.destroy()
      })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: own } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${own}`,
    [Symbol.dispose]: () => void server.close(),
  }
}
