import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createConnections } from '../../src/http/connections.ts'
import { createHttp2 } from '../../src/http/http2.ts'

/** A frame of HTTP/2 (RFC 9113, 4.1). */
function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.from([0, 0, payload.length, type, flags, 0, 0, 0, 0])
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** GET http / with `:authority: a`. */
const HEADERS = Buffer.from('828684410161', 'hex')
const RESET = Buffer.from([0, 0, 0, 8])

test('calls that are reset in the read that brings them reach no handler, but for the first of a connection', async () => {
  let begun = 0
  const table = createConnections({ limit: 10, tokenIsSet: () => false, onFull: () => {} })
  const http2 = createHttp2({
    handler: (_request, response) => {
      begun++
      response.end()
    },
    headersTimeout: 60_000,
    connections: table,
  })
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    table.add(socket)
    http2.take(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const socket = connect(typeof address === 'object' && address !== null ? address.port : 0, '127.0.0.1')
  await once(socket, 'connect')
  const frames = [Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1'), frame(4, 0, 0, Buffer.alloc(0))]
  for (let stream = 1; stream < 101; stream += 2) frames.push(frame(1, 5, stream, HEADERS), frame(3, 0, stream, RESET))
  frames.push(frame(1, 5, 101, HEADERS))
  socket.resume().write(Buffer.concat(frames))
  await expect.poll(() => begun).toBeGreaterThan(1)
  for (let i = 0; i < 100; i++) await setImmediate()
  expect(begun).toBe(2)
  socket.destroy()
  server.close()
})
