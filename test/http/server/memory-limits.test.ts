import { once } from 'node:events'
import { connect as connectHttp2, constants } from 'node:http2'
import { connect, Socket } from 'node:net'
import { expect, test } from 'vitest'
import { createConnections } from '../../../src/http/server/connections.ts'
import { createStreamMemory } from '../../../src/http/server/stream-memory.ts'
import { startDaemon } from '../../_util/daemon.ts'
import { sendWhole } from '../../_util/http.ts'
import { enveloped } from '../../_util/rpc.ts'

/** Opens a connection, sends these bytes, and reports what has come back so far. */
async function begin(port: number, bytes: string): Promise<{ socket: Socket; answer: () => string }> {
  const socket = connect({ host: '127.0.0.1', port })
  let answer = ''
  socket
    .on('error', () => {})
    .on('data', (chunk: Buffer) => {
      answer += chunk.toString('latin1')
    })
  await once(socket, 'connect')
  socket.write(bytes)
  return { socket, answer: () => answer }
}

const unfinished = (bytes: number) => `GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(bytes)}`

test('the more connections there are, the shorter the headers of new ones, so that all of them together stay small', async () => {
  await using daemon = await startDaemon()
  const open: Socket[] = []
  const beginning = async (bytes: number) => {
    const { socket, answer } = await begin(daemon.port, unfinished(bytes))
    open.push(socket)
    return answer
  }
  const first = await beginning(100_000)
  for (let count = 0; count < 130; count++) await beginning(10)
  // Connections may come in another order than they were opened in.
  const later: (() => string)[] = []
  const answers = async () => {
    later.push(await beginning(20_000))
    return later.map((answer) => answer()).join('')
  }
  await expect.poll(answers).toMatch(/^HTTP\/1\.1 431 /)
  expect(first()).toBe('')
  for (const socket of open) socket.destroy()
  // The room is free again.
  await expect
    .poll(async () => {
      const again = await begin(daemon.port, `${unfinished(100_000)}\r\n\r\n`)
      await Promise.race([once(again.socket, 'data'), once(again.socket, 'close')])
      again.socket.destroy()
      return again.answer()
    })
    .toMatch(/^HTTP\/1\.1 204 /)
})

test('a request with 512 header fields or more is refused, as Node would drop some', async () => {
  await using daemon = await startDaemon()
  const head = 'GET /health HTTP/1.1\r\nHost: x\r\n'
  const many = await begin(daemon.port, `${head}${'a: b\r\n'.repeat(511)}\r\n`)
  await expect.poll(many.answer).toMatch(/^HTTP\/1\.1 431 /)
  const fewer = await begin(daemon.port, `${head}${'a: b\r\n'.repeat(510)}\r\n`)
  await expect.poll(fewer.answer).toMatch(/^HTTP\/1\.1 204 /)
  for (const { socket } of [many, fewer]) socket.destroy()
})

test('connections that send requests ahead of their answers are ended once all of these hold too much', async () => {
  await using daemon = await startDaemon()
  const body = enveloped(Buffer.from('{}')).toString('latin1')
  // It has no end, and the answers to what follows come after it.
  const stream = `POST /metrics.Metrics/Watch HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  const ahead = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(60)
  let ended = 0
  const opened: Socket[] = []
  for (let count = 0; count < 90; count++) {
    const { socket } = await begin(daemon.port, stream + ahead)
    socket.on('close', () => ended++)
    opened.push(socket)
  }
  await expect.poll(() => ended).toBeGreaterThan(30)
  expect(ended).toBeLessThan(75)
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
  for (const socket of opened) socket.destroy()
  await expect
    .poll(async () => {
      const again = await begin(daemon.port, ahead)
      await Promise.race([once(again.socket, 'data'), once(again.socket, 'close')])
      again.socket.destroy()
      return again.answer()
    })
    .toMatch(/^HTTP\/1\.1 204 /)
})

test('calls of HTTP/2 that would take too much memory in sum are refused, and can be tried again', async () => {
  await using daemon = await startDaemon()
  const headers = Object.fromEntries(Array.from({ length: 6 }, (_, i) => [`x-${i}`, 'y'.repeat(16_000)]))
  const sessions = Array.from({ length: 2 }, () =>
    connectHttp2(daemon.url, { settings: { initialWindowSize: 0 } }).on('error', () => {}),
  )
  const codes: number[] = []
  for (const session of sessions) {
    await once(session, 'remoteSettings')
    for (let count = 0; count < 200; count++) {
      const request = session.request({ ':path': '/envs', ...headers })
      request.on('error', () => {}).on('close', () => codes.push(request.rstCode))
    }
  }
  await expect.poll(() => codes.length).toBeGreaterThan(100)
  expect(new Set(codes)).toEqual(new Set([constants.NGHTTP2_REFUSED_STREAM]))
  for (const session of sessions) session.destroy()
  const session = connectHttp2(daemon.url)
  await expect
    .poll(async () => {
      const request = session.request({ ':path': '/health' })
      const [answer] = (await once(request, 'response')) as [Record<string, unknown>]
      return answer[':status']
    })
    .toBe(204)
  session.destroy()
})

test('a connection of HTTP/2 takes the places of several, and the oldest silent ones make room for it', async () => {
  const onFull: boolean[] = []
  const table = createConnections({ limit: 4096, tokenIsSet: () => true, onFull: (madeRoom) => onFull.push(madeRoom) })
  const sockets = Array.from({ length: 1_500 }, () => new Socket())
  for (const socket of sockets) {
    expect(table.add(socket)).toBe(true)
    table.enlarge(socket, 8)
  }
  expect(sockets.filter(({ destroyed }) => !destroyed).length).toBe(1024)
  expect(sockets.slice(0, 476).every(({ destroyed }) => destroyed)).toBe(true)
  for (const socket of sockets) socket.destroy()
  await Promise.all(sockets.map((socket) => socket.closed || once(socket, 'close')))
  expect(onFull).toEqual(Array.from({ length: 476 }, () => true))
})

test('connections with the token and those without have memory for calls of their own', () => {
  const token = {}
  const memory = createStreamMemory({ hasShownToken: (connection) => connection === token })
  const taken = (session: object) => {
    const holds = []
    for (let hold = memory.take(session, ['x', 'y']); hold !== undefined; hold = memory.take(session, ['x', 'y']))
      holds.push(hold)
    return holds
  }
  const [first, second] = [taken({}), taken({})]
  expect(first.length).toBeGreaterThan(1_000)
  expect(first.length).toBeGreaterThan(second.length)
  expect(taken(token).length).toBe(first.length)
  for (const hold of [...first, ...second]) hold.release()
  expect(taken({}).length).toBe(first.length)
})
