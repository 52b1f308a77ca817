import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { createReadingTurns } from '../../../src/http/server/reading-turns.ts'

const ALL_BYTES = 2 * 2 ** 20
/** What each piece takes of the processor, or of the time of a machine that is busy with something else. */
const PIECE_MS = 3
/** Half a second on a machine that has nothing else to do. */
const PATIENT = { timeout: 90_000 }

/** Reads from so many connections, each of which has sent as much as a turn may bring in. */
async function readFrom(connections: number) {
  const turns = createReadingTurns()
  const pieces = { inTurn: 0, most: 0 }
  const received = new Map<Socket, number>()
  /** Of what each had received when the first had all. */
  let least: number | undefined
  const server = createServer((socket) => {
    received.set(socket, 0)
    turns.add(socket)
    socket.on('data', (piece) => {
      turns.work(socket)
      received.set(socket, (received.get(socket) ?? 0) + piece.length)
      if (received.get(socket) === ALL_BYTES) least ??= Math.min(...received.values())
      if (pieces.inTurn++ === 0) setImmediate(() => (pieces.inTurn = 0))
      pieces.most = Math.max(pieces.most, pieces.inTurn)
      const until = performance.now() + PIECE_MS
      while (performance.now() < until);
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const clients = Array.from({ length: connections }, () => connect(port, '127.0.0.1'))
  await Promise.all(clients.map((client) => once(client, 'connect')))
  await expect.poll(() => received.size).toBe(connections)
  for (const client of clients) client.write(Buffer.alloc(ALL_BYTES))
  const sum = () => [...received.values()].reduce((all, bytes) => all + bytes, 0)
  await expect.poll(sum, { timeout: 60_000 }).toBe(connections * ALL_BYTES)
  for (const client of clients) client.destroy()
  server.close()
  return { most: pieces.most, least, received: [...received.values()] }
}

test('of many connections that have much to say, each turn of the event loop reads some', PATIENT, async () => {
  const { most, least, received } = await readFrom(12)
  expect(received).toEqual(Array.from({ length: 12 }, () => ALL_BYTES))
  // A piece of each would be 12 already.
  expect(most).toBeLessThanOrEqual(4)
  expect(least).toBeGreaterThan(ALL_BYTES / 4)
})

test('a few connections bring what they have', PATIENT, async () => {
  const { received } = await readFrom(4)
  expect(received).toEqual(Array.from({ length: 4 }, () => ALL_BYTES))
})
