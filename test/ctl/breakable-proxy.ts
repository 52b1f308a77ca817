import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { Transform } from 'node:stream'

/**
 * A proxy on loopback whose connections can be broken, and which passes on no more than the first `holdAfter` bytes
 * of each direction of a connection until `release` is called. Disposing closes it.
 */
export async function breakableProxy(port: number, holdAfter = Number.POSITIVE_INFINITY) {
  const open = new Set<Socket>()
  const released = Promise.withResolvers<void>()
  let away = false
  const held = () => {
    let passed = 0
    return new Transform({
      transform(chunk: Buffer, _encoding, done) {
        passed += chunk.length
        if (passed <= holdAfter) done(null, chunk)
        else void released.promise.then(() => done(null, chunk))
      },
    })
  }
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
    client.pipe(held()).pipe(daemon).pipe(held()).pipe(client)
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
    release: () => released.resolve(),
    [Symbol.dispose]: () => void server.close(),
  }
}
