import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { connect, Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { createConnections, peerOf } from '../../../src/http/server/connections.ts'
import { startDaemon } from '../../_util/daemon.ts'
import { sendWhole } from '../../_util/http.ts'
import { type Front, startFront } from '../front.ts'

const LIMIT = 50
const GET = 'GET /envs HTTP/1.1\r\nHost: x\r\n'
/** A call under way; that it has begun is reported by "100 Continue". */
const UNFINISHED = 'POST /init HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n{'
const SECRET = 'x-access-token: secret\r\n'

interface Held {
  readonly socket: Socket
  closed: boolean
}

/** Connections that stay open, each after it has sent `bytes`, and got an answer if it is a whole request. */
async function hold(
  front: { readonly port: number },
  count: number,
  { bytes = '', from = '127.0.0.1', answered = false } = {},
) {
  const held: Held[] = []
  for (let i = 0; i < count; i++) {
    const socket = connect({ port: front.port, host: '127.0.0.1', localAddress: from }).on('error', () => {})
    const one = { socket, closed: false }
    socket.once('close', () => {
      one.closed = true
    })
    await once(socket, 'connect')
    socket.write(bytes)
    if (answered) await once(socket, 'data')
    else socket.resume()
    held.push(one)
  }
  return held
}

const status = async (front: Front, headers: Record<string, string> = {}) =>
  (await sendWhole(`${front.url}/health`, { headers })).status

const open = (held: readonly Held[]) => held.filter(({ closed }) => !closed).length

test.each([
  ['that said nothing', ''],
  ['that stopped within their headers', GET],
  ['of HTTP/2 without a call', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'],
])('connections %s make room, the oldest first', async (_, bytes) => {
  await using front = await startFront({ listening: { limit: LIMIT } })
  const held = await hold(front, LIMIT, { bytes })
  for (let i = 0; i < 3; i++) expect(await status(front)).toBe(204)
  await expect.poll(() => open(held)).toBeGreaterThanOrEqual(LIMIT - 3)
  expect(held.slice(0, LIMIT - open(held)).every(({ closed }) => closed)).toBe(true)
  expect(held[0]?.closed).toBe(true)
  expect(front.logged.map(({ message }) => message)).toEqual([
    'connections are at their limit: silent ones make room for new ones',
  ])
  for (const { socket } of held) socket.destroy()
})

test('the peer with most connections loses one, in whatever order they came', async () => {
  await using front = await startFront({ listening: { limit: LIMIT } })
  const few = await hold(front, 5, { from: '127.0.0.2' })
  const many = await hold(front, LIMIT - 5, { from: '127.0.0.3' })
  for (let i = 0; i < 20; i++) expect(await status(front)).toBe(204)
  expect(open(few)).toBe(5)
  for (const { socket } of [...few, ...many]) socket.destroy()
})

test('connections that have shown the token, and their calls, are kept', async () => {
  await using front = await startFront({ listening: { limit: LIMIT } })
  front.token.set('secret')
  const known = await hold(front, LIMIT - 10, { bytes: `${GET}${SECRET}\r\n`, answered: true })
  const session = connectHttp2(front.url)
  await once(session.request({ 'x-access-token': 'secret' }).resume(), 'close')
  const unknown = await hold(front, 200)
  expect(open(known)).toBe(LIMIT - 10)
  expect(session.destroyed).toBe(false)
  await expect.poll(() => open(unknown)).toBeLessThanOrEqual(9)
  for (const { socket } of [...known, ...unknown]) socket.destroy()
  session.destroy()
})

test('calls that never showed the token give way too, the newest first', async () => {
  await using front = await startFront({ listening: { limit: LIMIT } })
  front.token.set('secret')
  const held = await hold(front, LIMIT, { bytes: UNFINISHED, answered: true })
  expect(await status(front)).toBe(204)
  await expect.poll(() => open(held)).toBe(LIMIT - 1)
  expect(held.at(-1)?.closed).toBe(true)
  for (const { socket } of held) socket.destroy()
})

test('without a token no running call is ended for a new connection, and a few come in that are answered at once', async () => {
  await using front = await startFront({ listening: { limit: LIMIT } })
  const held = await hold(front, LIMIT, { bytes: UNFINISHED, answered: true })
  await expect(sendWhole(`${front.url}/envs`)).rejects.toMatchObject({ code: 'ECONNRESET' })
  expect(await status(front)).toBe(204)
  const more = await hold(front, 200, { bytes: 'GET /health HTTP/1.1\r\nHost: x\r\n' })
  await expect.poll(() => open(more)).toBe(64)
  expect(await status(front)).toBe(204)
  expect(open(held)).toBe(LIMIT)
  expect(front.logged.map(({ message }) => message)).toEqual(['connections beyond the limit are dropped'])
  for (const { socket } of [...held, ...more]) socket.destroy()
})

test('connections that come together do not end one another where all others are busy', async () => {
  const table = createConnections({ limit: 3, tokenIsSet: () => false, onFull: () => {} })
  const sockets = Array.from({ length: 5 }, () => new Socket())
  const [first, second, young, next, late] = sockets
  for (const busy of [first, second]) {
    if (busy !== undefined) table.add(busy)
    if (busy !== undefined) table.began(busy)
  }
  const add = (socket = new Socket()) => table.add(socket)
  expect([add(young), add(next), young?.destroyed]).toEqual([true, false, false])
  // One that goes on to say nothing is young no more.
  await expect.poll(() => add(late)).toBe(true)
  expect(sockets.map(({ destroyed }) => destroyed)).toEqual([false, false, true, false, false])
})

test('the limit follows the memory that the daemon may have', async () => {
  await using front = await startFront({ listening: { memory: LIMIT * 256 * 1024 } })
  const held = await hold(front, LIMIT + 10)
  await expect.poll(() => open(held)).toBe(LIMIT)
  expect(held.slice(0, 10).every(({ closed }) => closed)).toBe(true)
  for (const { socket } of held) socket.destroy()
})

test('the limit follows the descriptors that the daemon may have', async () => {
  const launcher = fileURLToPath(new URL('../../../scripts/envd', import.meta.url))
  await using daemon = await startDaemon({ launch: ['/bin/sh', '-c', 'ulimit -n 200; exec "$0" "$@"', launcher] })
  const held = await hold(daemon, 400)
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
  await expect.poll(() => open(held)).toBeLessThanOrEqual(100)
  expect(open(held)).toBeGreaterThan(50)
  for (const { socket } of held) socket.destroy()
})

test('the addresses of one machine are one peer', () => {
  expect(peerOf('::ffff:10.0.0.1')).toBe('10.0.0.1')
  expect(peerOf('10.0.0.1')).toBe('10.0.0.1')
  expect(peerOf('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2')
  expect(peerOf('2001:db8:1:2::9')).toBe('2001:db8:1:2')
  expect(peerOf('2001:db8::9')).toBe('2001:db8:0:0')
  expect(peerOf('::1')).toBe('0:0:0:0')
  expect(peerOf('fe80::1%eth0')).toBe('fe80:0:0:0')
})
