import { once } from 'node:events'
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2'
import { connect } from 'node:net'
import type { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { startFront } from '../front.ts'

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1')
/** GET http / with `:authority: a`. */
const HEADERS = Buffer.from('828684410161', 'hex')

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** POST http / of a body. */
function postHeaders(contentType: string): Buffer {
  const name = Buffer.from('content-type')
  const field = [Buffer.of(0, name.length), name, Buffer.of(contentType.length), Buffer.from(contentType)]
  return Buffer.concat([Buffer.of(0x83), HEADERS.subarray(1), ...field])
}

test('a client that takes nothing, asks for more than it may and leaves, leaves nothing open', async () => {
  let begun = 0
  await using front = await startFront({
    routes: [
      (app) => {
        app.get('/', (_request, reply) => {
          begun++
          reply.hijack()
          reply.raw.writeHead(200)
          reply.raw.write(Buffer.alloc(32 * 1024))
        })
      },
    ],
  })
  const session = connectHttp2(`http://127.0.0.1:${front.port}`, { settings: { initialWindowSize: 0 } })
  session.on('error', () => {})
  await once(session, 'remoteSettings')
  for (let count = 0; count < 600; count++) session.request({ ':path': '/' }).on('error', () => {})
  await expect.poll(() => begun).toBe(500)
  session.destroy()
  await expect.poll(() => front.listener.openConnections, { timeout: 15_000 }).toBe(0)
})

test('a call that is refused unread and reset without its answer being taken does not keep its connection', async () => {
  await using front = await startFront({
    routes: [
      (app) => {
        app.addContentTypeParser('*', (_request, _body, done) => done(null))
        app.post('/', (_request, reply) => void reply.code(503).send('no room'))
      },
    ],
  })
  const socket = connect(front.port, '127.0.0.1')
  const closed = new Promise((resolve) => socket.once('close', resolve))
  const received: Buffer[] = []
  socket.on('data', (piece) => received.push(piece)).on('error', () => {})
  const noWindow = frame(4, 0, 0, Buffer.of(0, 4, 0, 0, 0, 0))
  const call = [frame(1, 4, 1, postHeaders('a/b')), frame(0, 1, 1, Buffer.from('a message'))]
  socket.write(Buffer.concat([PREFACE, noWindow, ...call]))
  const isHeadersOfCall = () => Buffer.concat(received).includes(Buffer.of(1, 4, 0, 0, 0, 1))
  await expect.poll(isHeadersOfCall).toBe(true)
  // RST_STREAM and GOAWAY, with NO_ERROR.
  socket.write(Buffer.concat([frame(3, 0, 1, Buffer.alloc(4)), frame(7, 0, 0, Buffer.alloc(8))]))
  await closed
})

test('calls that are reset by the read that brings them are left out', async () => {
  let begun = 0
  await using front = await startFront({
    routes: [
      (app) => {
        app.get('/', (_request, reply) => {
          begun++
          reply.code(204).send()
        })
      },
    ],
  })
  const socket = connect(front.port, '127.0.0.1')
  socket.resume()
  const calls = Array.from({ length: 100 }, (_, index) => 2 * index + 1).flatMap((stream) => [
    frame(1, 5, stream, HEADERS),
    frame(3, 0, stream, Buffer.from([0, 0, 0, 8])),
  ])
  const last = frame(1, 5, 201, HEADERS)
  socket.write(Buffer.concat([PREFACE, ...calls, last]))
  await expect.poll(() => begun).toBe(1)
  socket.destroy()
})

test.each([
  ['NO_ERROR', 0],
  ['INTERNAL_ERROR', 2],
  ['CANCEL', 8],
])('a connection without the token may bring and reset 100 calls at once with %s, not more', async (_, code) => {
  await using front = await startFront({ routes: [] })
  const socket = connect(front.port, '127.0.0.1')
  socket.resume().on('error', () => {})
  const calls = (first: number, count: number) =>
    Array.from({ length: count }, (_, index) => first + 2 * index).flatMap((stream) => [
      frame(1, stream % 4 === 1 ? 5 : 4, stream, HEADERS),
      frame(3, 0, stream, Buffer.from([0, 0, 0, code])),
    ])
  socket.write(Buffer.concat([PREFACE, ...calls(1, 100)]))
  const answered = once(socket, 'data')
  await answered
  expect(front.listener.openConnections).toBe(1)
  socket.write(Buffer.concat(calls(201, 200)))
  await expect.poll(() => front.listener.openConnections).toBe(0)

  const other = connect(front.port, '127.0.0.1')
  other.resume().on('error', () => {})
  const closed = new Promise((resolve) => other.once('close', resolve))
  other.write(Buffer.concat([PREFACE, ...calls(1, 200)]))
  await closed
})

test('bodies that nobody reads are bounded in sum: calls beyond that are reset, and what they held is free again', async () => {
  const bodies: Readable[] = []
  await using front = await startFront({
    routes: [
      (app) => {
        // As long as it may be, and unread.
        app.addContentTypeParser('*', (_request, _body, done) => done(null))
        app.post('/', { config: {} }, ({ raw }, reply) => {
          bodies.push(Object(raw).stream)
          reply.hijack()
        })
      },
    ],
  })
  const upload = async (calls: number) => {
    const session = connectHttp2(`http://127.0.0.1:${front.port}`)
    session.on('error', () => {})
    await once(session, 'remoteSettings')
    const codes: number[] = []
    for (let i = 0; i < calls; i++) {
      const request = session.request({ ':method': 'POST', ':path': '/', 'content-type': 'application/octet-stream' })
      request.on('error', () => {}).on('close', () => codes.push(request.rstCode))
      request.write(Buffer.alloc(2 ** 20))
    }
    return { session, codes }
  }
  const leave = (session: ClientHttp2Session) => {
    session.destroy()
    return expect.poll(() => front.listener.openConnections).toBe(0)
  }
  const first = await upload(200)
  // 16 MiB for one connection, a window of 256 KiB each.
  await expect.poll(() => first.codes.length).toBeGreaterThan(100)
  expect(new Set(first.codes)).toEqual(new Set([constants.NGHTTP2_ENHANCE_YOUR_CALM]))
  expect(first.codes.length).toBeLessThan(150)
  await leave(first.session)
  bodies.length = 0
  const second = await upload(40)
  // Each window is full.
  await expect.poll(() => bodies.filter(({ readableLength }) => readableLength >= 2 ** 18).length).toBe(40)
  expect(second.codes).toEqual([])
  await leave(second.session)
})

test('a body whose frames of a byte come together with its headers is read in a few pieces, whole', async () => {
  const pieces: Buffer[] = []
  await using front = await startFront({
    routes: [
      (app) => {
        app.addContentTypeParser('*', (_request, _body, done) => done(null))
        app.post('/', (request, reply) => {
          reply.hijack()
          request.raw.on('data', (piece) => pieces.push(piece))
        })
      },
    ],
  })
  const headers = postHeaders('a/b')
  const sent = Buffer.from(Array.from({ length: 2000 }, (_, index) => index % 251))
  const frames = [...sent].map((byte, index) => frame(0, index === sent.length - 1 ? 1 : 0, 1, Buffer.of(byte)))
  const socket = connect(front.port, '127.0.0.1')
  socket.resume().on('error', () => {})
  socket.write(Buffer.concat([PREFACE, frame(1, 4, 1, headers), ...frames]))
  await expect.poll(() => Buffer.concat(pieces).equals(sent)).toBe(true)
  expect(pieces.length).toBeLessThan(10)
  socket.destroy()
})
