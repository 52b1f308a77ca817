import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'

const HEADERS = 1
const RST_STREAM = 3
const SETTINGS = 4
const PING = 6
const CONTINUATION = 9
const END_STREAM = 1
const END_HEADERS = 4

/** A frame of HTTP/2 (RFC 9113 4.1). */
function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** A header that is not kept in the table of HPACK (RFC 7541 6.2.2); both texts below 127 bytes. */
function literal(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)])
}

/** `:method: POST`, `:scheme: http` of the static table, and a path. */
function request(path: string, token?: string): Buffer {
  const shown = token === undefined ? [] : [literal('x-access-token', token)]
  return Buffer.concat([Buffer.of(0x83, 0x86), literal(':path', path), literal(':authority', 'x'), ...shown])
}

const PREFACE = Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(SETTINGS, 0, 0)])

/**
 * Writes what `next` gives, as fast as it is taken, until it gives nothing or the daemon ends the connection; reports how
 * many were written.
 */
async function flood(port: number, opening: Buffer | string, next: (index: number) => Buffer | string | undefined) {
  const socket: Socket = connect(port, '127.0.0.1')
  let open = true
  socket
    .on('error', () => {})
    .once('close', () => {
      open = false
    })
  socket.resume()
  socket.write(opening)
  for (let i = 0; open; i++) {
    const bytes = next(i)
    if (bytes === undefined) break
    if (!socket.write(bytes)) await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {})
  }
  return { socket, isOpen: () => open }
}

/** 100 calls that are reset at once, from stream `first` on. */
function resets(index: number, headers: Buffer): Buffer {
  const frames = Array.from({ length: 100 }, (_, i) => {
    const stream = 2 * (100 * index + i) + 1
    const code = Buffer.of(0, 0, 0, 8)
    return [frame(HEADERS, END_HEADERS, stream, headers), frame(RST_STREAM, 0, stream, code)]
  })
  return Buffer.concat(frames.flat())
}

const PATHS = ['/process.Process/List', '/health', '/nope', '/init']

async function setToken({ url }: Daemon): Promise<void> {
  const answer = await sendWhole(`${url}/init`, { method: 'POST', body: '{"accessToken":"secret"}' })
  expect(answer.status).toBe(204)
}

async function isWell({ url }: Daemon): Promise<void> {
  expect((await sendWhole(`${url}/health`)).status).toBe(204)
}

test.each(PATHS)('a connection without the token that resets every call of %s is cut off', async (path) => {
  await using daemon = await startDaemon()
  for (const guarded of [false, true]) {
    if (guarded) await setToken(daemon)
    const headers = request(path)
    const { socket, isOpen } = await flood(daemon.port, PREFACE, (i) => (i < 2000 ? resets(i, headers) : undefined))
    await expect.poll(isOpen).toBe(false)
    await isWell(daemon)
    socket.destroy()
  }
})

test('a connection that has shown the token may reset ten times as many', async () => {
  await using daemon = await startDaemon()
  await setToken(daemon)
  const headers = request('/process.Process/List', 'secret')
  const { socket, isOpen } = await flood(daemon.port, PREFACE, () => undefined)
  await once(socket, 'data')
  const known = once(socket, 'data')
  socket.write(frame(HEADERS, END_HEADERS | END_STREAM, 1, request('/envs', 'secret')))
  await known
  for (let i = 0; i < 100 && isOpen(); i++) {
    if (!socket.write(resets(i + 1, headers))) await Promise.race([once(socket, 'drain'), once(socket, 'close')])
  }
  const last = 2 * 102 * 100 + 1
  const answered = once(socket, 'data')
  socket.write(frame(HEADERS, END_HEADERS | END_STREAM, last, request('/envs', 'secret')))
  await answered
  await isWell(daemon)
  expect(isOpen()).toBe(true)
  socket.destroy()
})

const FLOODS: Record<string, (index: number) => Buffer | undefined> = {
  PING: (i) =>
    i < 200 ? Buffer.concat(Array.from({ length: 500 }, () => frame(PING, 0, 0, Buffer.alloc(8)))) : undefined,
  SETTINGS: (i) => (i < 200 ? Buffer.concat(Array.from({ length: 500 }, () => frame(SETTINGS, 0, 0))) : undefined),
  CONTINUATION: (i) => {
    if (i === 0) return frame(HEADERS, 0, 1, request('/health'))
    return i < 2000 ? frame(CONTINUATION, 0, 1, literal(`x-${i}`, 'y'.repeat(100))) : undefined
  },
}

test.each(Object.entries(FLOODS))('a flood of %s frames does no harm', async (_, next) => {
  await using daemon = await startDaemon()
  const attack = flood(daemon.port, PREFACE, next)
  for (let i = 0; i < 5; i++) await isWell(daemon)
  const { socket } = await attack
  await isWell(daemon)
  socket.destroy()
})

test('a connection without the token that sends hundreds of requests ahead of their answers is cut off', async () => {
  await using daemon = await startDaemon()
  for (const guarded of [false, true]) {
    if (guarded) await setToken(daemon)
    for (const head of ['GET /envs HTTP/1.1\r\nHost: x\r\n\r\n', 'GET /nope HTTP/1.1\r\nHost: x\r\n\r\n']) {
      const { socket, isOpen } = await flood(daemon.port, '', (i) => (i < 200 ? head.repeat(1000) : undefined))
      await expect.poll(isOpen).toBe(false)
      await isWell(daemon)
      socket.destroy()
    }
  }
})
