import { createServer as createHttpServer, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { bind, portOf } from '../../../src/http/server/bind.ts'
import { discardRest } from '../../../src/http/server/discard-rest.ts'
import { createEntrance } from '../../../src/http/server/entrance.ts'
import { detectProtocol } from '../../../src/http/server/protocol.ts'
import { startReading } from '../../../src/http/server/reading.ts'
import { descriptorOf } from '../../../src/lib/descriptor.ts'
import { beginning } from '../../../src/native/accept.ts'

const CONNECTIONS = 300
/** More than a connection reads at once, less than its buffers in the kernel hold. */
const SENT = 150 * 1024
const PIECE = 64 * 1024

/**
 * Sends the beginning of a request with a large body over each of many connections, whose bodies stay unread.
 * @param turn gives a connection its turn.
 */
async function crowd(onRequest: (request: IncomingMessage) => void, turn = (_: Socket, take: () => void) => take()) {
  const http = createHttpServer(onRequest)
  const take = (socket: Socket) => {
    startReading(socket)
    http.emit('connection', socket)
  }
  const enter = (socket: Socket) => detectProtocol(socket, 10_000, () => turn(socket, () => take(socket)))
  const never = () => false
  const options = { waiting: 1000, isAbandoned: never, initsWait: never, whenRoom: (run: () => void) => run() }
  const entrance = createEntrance({ ...options, enter })
  const servers = await bind({ address: '127.0.0.1', port: 0 }, entrance.accept)
  const port = servers[0] === undefined ? 0 : portOf(servers[0])
  const head = Buffer.from('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n')
  const clients = Array.from({ length: CONNECTIONS }, () => {
    const client = connect(port, '127.0.0.1')
    client.on('error', () => {})
    client.write(Buffer.concat([head, Buffer.alloc(SENT)]))
    return client
  })
  return {
    [Symbol.dispose]: () => {
      entrance.close('ended')
      for (const client of clients) client.destroy()
      for (const server of servers) server.close()
      http.closeAllConnections()
      http.close()
    },
  }
}

const held = (requests: readonly IncomingMessage[]) =>
  requests.reduce((sum, { readableLength }) => sum + readableLength, 0)

/** All of each connection that there is room for is in the kernel, and the event loop has had turns to read it. */
async function moreHasCome(sockets: () => Iterable<Socket>): Promise<void> {
  const one = Buffer.alloc(1)
  const isUnread = (socket: Socket) => beginning(descriptorOf(socket) ?? -1, one) === 1
  await expect.poll(() => [...sockets()].every(isUnread)).toBe(true)
  for (let turn = 0; turn < 20; turn++) await nextTurn()
}

test('of a body that nobody reads one piece is read, whatever the client sends', async () => {
  const requests: IncomingMessage[] = []
  using _ = await crowd((request) => requests.push(request))
  await expect.poll(() => requests.length).toBe(CONNECTIONS)
  await moreHasCome(() => requests.map(({ socket }) => socket))
  expect(Math.max(...requests.map(({ readableLength }) => readableLength))).toBeLessThanOrEqual(PIECE)
})

test('of a connection that waits for its turn one piece is read, and the rest when it has it', async () => {
  const waiting = new Map<Socket, () => void>()
  const requests: IncomingMessage[] = []
  const onRequest = (request: IncomingMessage) => void requests.push(request.resume())
  using _ = await crowd(onRequest, (socket, take) => waiting.set(socket, take))
  await expect.poll(() => waiting.size).toBe(CONNECTIONS)
  await moreHasCome(() => waiting.keys())
  expect(Math.max(...[...waiting.keys()].map(({ readableLength }) => readableLength))).toBeLessThanOrEqual(PIECE)
  for (const take of waiting.values()) take()
  await expect.poll(() => requests.length).toBe(CONNECTIONS)
  await expect.poll(() => Math.min(...requests.map(({ socket }) => socket.bytesRead))).toBeGreaterThanOrEqual(SENT)
})

test('of bodies that are discarded, more than are read at a time, nothing is held in the end', async () => {
  const requests: IncomingMessage[] = []
  using _ = await crowd((request) => {
    requests.push(request)
    // As soon as its first piece is there.
    setImmediate(() => discardRest(request))
  })
  await expect.poll(() => requests.length).toBe(CONNECTIONS)
  await expect.poll(() => held(requests)).toBe(0)
})
