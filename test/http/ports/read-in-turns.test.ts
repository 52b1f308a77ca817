import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { readInTurns } from '../../../src/http/ports/read-in-turns.ts'
import { halt } from '../../_util/halt.ts'

/** A connection whose other side has written the content and its end. */
async function connected(content: Buffer) {
  const server = createServer((socket) => socket.on('error', () => {}).end(content))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A TCP server's address is an object.
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  return {
    socket,
    [Symbol.dispose]: () => {
      socket.destroy()
      server.close()
    },
  }
}

/** All that comes, and the sizes of the pieces. */
async function received(socket: Socket, each: () => void) {
  const pieces: Buffer[] = []
  socket.on('data', (piece: Buffer) => {
    pieces.push(Buffer.from(piece))
    // As the relay does: what was handed over is not looked at again.
    piece.fill(0)
    each()
  })
  await once(socket, 'end')
  return { content: Buffer.concat(pieces), sizes: pieces.map(({ length }) => length) }
}

test('pieces that take long come small, one after the other, whole and before the end', async () => {
  const content = randomBytes(1_000_000)
  using connection = await connected(content)
  readInTurns(connection.socket)
  const got = await received(connection.socket, () => halt(1))
  expect(got.content.equals(content)).toBe(true)
  expect(Math.max(...got.sizes)).toBeLessThanOrEqual(4096)
})

test('what is read at once stays as large as it came', async () => {
  const content = randomBytes(8_000_000)
  using connection = await connected(content)
  readInTurns(connection.socket)
  const got = await received(connection.socket, () => {})
  expect(got.content.equals(content)).toBe(true)
  expect(Math.max(...got.sizes)).toBeGreaterThan(16_384)
})

test('between two pieces that take long others have their turn', async () => {
  const connections = await Promise.all(Array.from({ length: 20 }, () => connected(randomBytes(65_536))))
  let turns = 0
  let over = false
  const count = () => {
    turns++
    if (!over) setImmediate(count)
  }
  count()
  await Promise.all(
    connections.map(({ socket }) => {
      readInTurns(socket)
      return received(socket, () => halt(1))
    }),
  )
  over = true
  for (const connection of connections) connection[Symbol.dispose]()
  // 320 pieces of a millisecond each, of which some three fit into a turn of the event loop.
  expect(turns).toBeGreaterThan(60)
})

test('a socket that is not read keeps no more than a piece of the kernel, and goes on later', async () => {
  const content = randomBytes(20_000_000)
  using connection = await connected(content)
  const { socket } = connection
  readInTurns(socket)
  socket.once('readable', () => {})
  await vi.waitUntil(() => socket.readableLength > 0)
  const { bytesRead } = socket
  for (let turns = 0; turns < 100; turns++) await nextTurn()
  expect(socket.bytesRead).toBe(bytesRead)
  expect(bytesRead).toBeLessThan(256 * 1024)
  expect((await buffer(socket)).equals(content)).toBe(true)
})
