import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { createSparePlaces } from '../../../src/http/server/spare-places.ts'
import { descriptorOf } from '../../../src/lib/descriptor.ts'
import { beginning } from '../../../src/native/accept.ts'

/** Connections that were accepted and not read, one for each text, which has come. */
async function accepted(texts: readonly string[], use: (sockets: readonly Socket[]) => unknown): Promise<void> {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A TCP server's address is an object.
  const { port } = server.address() as { port: number }
  const pairs: Socket[][] = []
  for (const text of texts) {
    const client = connect(port, '127.0.0.1').on('error', () => {})
    const [own] = (await once(server, 'connection')) as [Socket]
    pairs.push([own, client])
    client.write(text)
    const come = () => beginning(descriptorOf(own) ?? -1, Buffer.alloc(1))
    await expect.poll(come, { interval: 1 }).toBe(1)
  }
  await use(pairs.flatMap(([own]) => own ?? []))
  for (const socket of pairs.flat()) socket.destroy()
  server.close()
}

test('connections beyond the limit that ask for what is not answered at once take no place from a health check', async () => {
  const others = Array.from({ length: 100 }, () => 'GET /envs HTTP/1.1\r\n')
  await accepted(['GET /health HTTP/1.1\r\n', ...others], ([health, ...rest]) => {
    if (health === undefined) throw new Error('none was accepted')
    const places = createSparePlaces()
    for (const socket of [health, ...rest]) places.add(socket)
    expect(rest.every(({ destroyed }) => destroyed)).toBe(true)
    expect(health.destroyed).toBe(false)
  })
})
