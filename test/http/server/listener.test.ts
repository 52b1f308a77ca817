import { once } from 'node:events'
import { Agent, get } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { expect, test } from 'vitest'
import { clientGone } from '../../../src/http/server/client-gone.ts'
import { sendWhole } from '../../_util/http.ts'
import { connectRaw, startFront } from '../front.ts'
import { openSession, slowRoute, status } from './slow-route.ts'

const GET = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'
const ANSWER = 'HTTP/1.1 204 No Content\r\n'

test('A4 every address of both families is listened on', async () => {
  await using front = await startFront({ address: '::' })
  for (const host of ['127.0.0.1', '[::1]']) {
    expect((await sendWhole(`http://${host}:${front.port}/health`)).status).toBe(204)
  }
})

test('A4 localhost is both loopback addresses on one free port, and no other', async () => {
  await using front = await startFront({ address: 'localhost' })
  for (const host of ['127.0.0.1', '[::1]']) {
    expect((await sendWhole(`http://${host}:${front.port}/health`)).status).toBe(204)
  }
  const other = connect(front.port, '127.0.0.2')
  const [error] = await once(other, 'error')
  expect(error.code).toBe('ECONNREFUSED')
})

test('A4 HTTP/1.1 and HTTP/2 with prior knowledge share the port, many of each at a time', async () => {
  await using front = await startFront()
  const paths = Array.from({ length: 60 }, (_, i) => ({ http2: i % 2 === 0, path: i % 3 === 0 ? '/nope' : '/health' }))
  const answers = await Promise.all(paths.map(({ http2, path }) => sendWhole(front.url + path, { http2 })))
  expect(answers.map((answer) => answer.status)).toEqual(paths.map(({ path }) => (path === '/nope' ? 404 : 204)))
})

test('A4 a request to upgrade to h2c is answered on HTTP/1.1', async () => {
  await using front = await startFront()
  using client = await connectRaw(front.port)
  const settings = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n'
  client.write(`GET /health HTTP/1.1\r\nHost: x\r\n${settings}\r\n`)
  await expect.poll(() => client.received()).toContain(ANSWER)
})

test('A4 a port in use is refused with EADDRINUSE, also when only one family of localhost has it', async () => {
  await using front = await startFront({ address: '::1' })
  await expect(startFront({ address: '::1', port: front.port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  await expect(startFront({ address: 'localhost', port: front.port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
})

test('A5 a request may arrive byte by byte, in HTTP/1.1 and in HTTP/2', async () => {
  await using front = await startFront()
  using first = await connectRaw(front.port)
  for (const byte of `POST /init HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}`) {
    first.write(byte)
    await setImmediate()
  }
  await expect.poll(() => first.received()).toContain(ANSWER)

  using second = await connectRaw(front.port)
  const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])
  for (const byte of Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settings])) {
    second.write(Buffer.of(byte))
    await setImmediate()
  }
  const acknowledgement = Buffer.from([0, 0, 0, 4, 1, 0, 0, 0, 0]).toString('latin1')
  await expect.poll(() => second.received()).toContain(acknowledgement)
})

test('A5 requests can be pipelined and a connection is kept for more', async () => {
  await using front = await startFront()
  using client = await connectRaw(front.port)
  client.write(GET.repeat(20))
  await expect.poll(() => client.received().split(ANSWER).length - 1).toBe(20)
  expect(client.received()).toContain('Keep-Alive: timeout=640\r\n')
  client.write(GET)
  await expect.poll(() => client.received().split(ANSWER).length - 1).toBe(21)
})

test('A5 keep-alive clients use one connection', async () => {
  await using front = await startFront()
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (let i = 0; i < 5; i++) {
    const [response] = await once(get(`${front.url}/health`, { agent }), 'response')
    response.resume()
    await once(response, 'end')
  }
  expect(front.listener.openConnections).toBe(1)
  agent.destroy()
  await expect.poll(() => front.listener.openConnections).toBe(0)
})

test('a client that closes its side has left: its call is aborted', async () => {
  let aborted = false
  const waiting = (app: FastifyInstance) =>
    void app.get('/wait', async (_request, reply) => {
      reply.hijack()
      reply.raw.write('begin')
      await once(clientGone(reply.raw), 'abort')
      aborted = true
    })
  await using front = await startFront({ routes: [waiting] })
  using client = await connectRaw(front.port)
  client.write('GET /wait HTTP/1.1\r\nHost: x\r\n\r\n')
  await expect.poll(() => client.received()).toContain('begin')
  client.socket.end()
  await expect.poll(() => aborted).toBe(true)
  await expect.poll(() => front.listener.openConnections).toBe(0)
})

test('a client that ends without a byte, or in the middle of one, leaves nothing behind', async () => {
  await using front = await startFront()
  for (const bytes of ['', 'P', 'PR', 'PRI', 'PRI * HTTP/2.0\r\n', 'GET', 'GET / HTTP/1.1\r\n']) {
    using client = await connectRaw(front.port)
    client.socket.end(bytes)
    await client.closed
  }
  const socket = connect(front.port, '127.0.0.1')
  const session = connectHttp2(front.url, { createConnection: () => socket }).on('error', () => {})
  await once(session, 'remoteSettings')
  socket.destroy()
  await expect.poll(() => front.listener.openConnections).toBe(0)
})

test('what is not a request is answered with 400, headers without end with 431', async () => {
  await using front = await startFront()
  using nonsense = await connectRaw(front.port)
  nonsense.write('\x16\x03\x01 hello\r\n\r\n')
  expect(await nonsense.closed).toMatch(
    /^HTTP\/1\.1 400 Bad Request\r\n.*\r\n\r\n\{"code":400,"message":"bad request"\}\n$/s,
  )
  using endless = await connectRaw(front.port)
  endless.write(`GET /health HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(200_000)}\r\n\r\n`)
  expect(await endless.closed).toMatch(/^HTTP\/1\.1 431 /)
})

test('nonsense after a request does not spoil its answer', async () => {
  const slow = slowRoute()
  await using front = await startFront({ routes: [slow.route] })
  using client = await connectRaw(front.port)
  client.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n')
  await expect.poll(() => client.received()).toContain('begin')
  client.write('\x00\x00\x00\r\n\r\n')
  expect(await client.closed).not.toContain('400')
})

test('closing ends idle connections at once and running calls when they are done', async () => {
  const slow = slowRoute()
  await using front = await startFront({ routes: [slow.route] })
  using silent = await connectRaw(front.port)
  using idle = await connectRaw(front.port)
  idle.write(GET)
  await expect.poll(() => idle.received()).toContain(ANSWER)
  const idleSession = await openSession(front.port)
  const busy = sendWhole(`${front.url}/slow`)
  const busySession = await openSession(front.port)
  const call = status(busySession, '/slow')
  await expect.poll(slow.begun).toBe(2)
  await expect.poll(() => front.listener.openConnections).toBe(5)

  const closed = front.listener.close(20_000)
  await Promise.all([silent.closed, idle.closed, once(idleSession, 'close')])
  await expect(connectRaw(front.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  slow.finish()
  expect((await busy).text).toBe('begin end')
  expect(await call).toBe(200)
  await closed
  expect(front.listener.openConnections).toBe(0)
})

test('closing destroys what is left after the grace period', async () => {
  const slow = slowRoute()
  await using front = await startFront({ routes: [slow.route] })
  using client = await connectRaw(front.port)
  client.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n')
  const session = await openSession(front.port)
  const stream = session.request({ ':path': '/slow' }).on('error', () => {})
  await expect.poll(slow.begun).toBe(2)
  await front.listener.close(10)
  await client.closed
  expect(front.listener.openConnections).toBe(0)
  if (!stream.closed) await once(stream, 'close')
})

test('an answer that was written before closing arrives whole', async () => {
  const size = 8 * 1024 * 1024
  const large = (app: FastifyInstance) => void app.get('/large', () => Buffer.alloc(size, 'x'))
  await using front = await startFront({ routes: [large] })
  using client = await connectRaw(front.port)
  client.socket.pause()
  client.write('GET /large HTTP/1.1\r\nHost: x\r\n\r\n')
  await expect.poll(() => client.socket.readableLength > 0 || client.socket.bytesRead > 0).toBe(true)
  const closed = front.listener.close(20_000)
  client.socket.resume()
  expect((await client.closed).length).toBeGreaterThan(size)
  await closed
})

test('a connection that stays silent, or never ends its headers, is dropped', async () => {
  await using front = await startFront({ listening: { headersTimeout: 300 } })
  for (const bytes of ['', 'P', 'PRI', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n']) {
    using client = await connectRaw(front.port)
    client.write(bytes)
    await client.closed
  }
  using slow = await connectRaw(front.port)
  slow.write('GET /health HTTP/1.1\r\nHost: x\r\n')
  expect(await slow.closed).toMatch(/^HTTP\/1\.1 408 /)
})
