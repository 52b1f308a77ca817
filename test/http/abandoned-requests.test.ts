import { once } from 'node:events'
import { connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { FastifyInstance } from 'fastify'
import { expect, test } from 'vitest'
import { startFront } from './front.ts'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

/** Clients; the engine may hold on to the last object that it has dealt with. */
const CLIENTS = 50
const HELD_BY_THE_ENGINE = 2

test.each([
  ['while they are answered', 'POST /silent HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody'],
  ['while they send', 'POST /silent HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n\r\nbody'],
])('nothing is kept of clients that leave %s', async (_, bytes) => {
  const connections: WeakRef<object>[] = []
  const silent = (app: FastifyInstance) => {
    app.post('/silent', (request, reply) => {
      reply.hijack()
      connections.push(new WeakRef(request.raw.socket))
    })
  }
  await using front = await startFront({ routes: [silent] })
  for (let i = 0; i < CLIENTS; i++) {
    const socket = connect(front.port, '127.0.0.1').on('error', () => {})
    await once(socket, 'connect')
    socket.write(bytes)
    await expect.poll(() => connections.length, { interval: 1 }).toBe(i + 1)
    socket.destroy()
  }
  await expect.poll(() => front.listener.openConnections).toBe(0)
  const kept = () => {
    collectGarbage()
    return connections.filter((connection) => connection.deref() !== undefined).length
  }
  await expect.poll(kept).toBeLessThanOrEqual(HELD_BY_THE_ENGINE)
})
