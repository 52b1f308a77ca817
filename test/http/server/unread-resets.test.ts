import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { startFront } from '../front.ts'

test('a connection that is reset while a long body of it waits is closed', async () => {
  await using front = await startFront({
    routes: [
      (app) => {
        app.addContentTypeParser('*', (_request, _body, done) => done(null))
        app.post('/unread', (_request, reply) => void reply.hijack())
      },
    ],
  })
  const sockets = ['Content-Length: 10000000', 'Transfer-Encoding: chunked'].map((length) => {
    const socket = connect(front.port, '127.0.0.1').on('error', () => {})
    socket.write(`POST /unread HTTP/1.1\r\nHost: x\r\nContent-Type: a/b\r\n${length}\r\n\r\n800000\r\n`)
    return socket
  })
  for (const socket of sockets) {
    await once(socket, 'connect')
    // As much as is taken.
    socket.write(Buffer.alloc(8_000_000))
  }
  await expect.poll(() => front.listener.openConnections).toBe(2)
  await new Promise((resolve) => setTimeout(resolve, 300))
  for (const socket of sockets) socket.resetAndDestroy()
  await expect.poll(() => front.listener.openConnections, { timeout: 15_000 }).toBe(0)
})
