import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A proxy on loopback whose connections can be broken. Disposing closes it. */
export async function breakableProxy(port: number) {
  const open = new Set<Socket>()
  let away = false
  const server = createServer((client) => {
    if (away) return client.resetAndDestroy()
    const daemon = connect(port, '127.0.0.1')
    const close = () => {
      client.destroy()
      daemon.destroy()
      open.delete(client)
    }
    open.add(client)
    for (const socket of [client, daemon]) socket.on('error', close).on('close', close)
    client.pipe(daemon).pipe(client)
    return undefined
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: own } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${own}`,
    /** Breaks all connections, and those that come while `away` runs. */
    cut: async (whileAway: () => Promise<void> = async () => {}) => {
      away = true
      for (const socket of open) socket.resetAndDestroy()
      await whileAway()
      away = false
    },
    [Symbol.dispose]: () => void server.close(),
  }
}
