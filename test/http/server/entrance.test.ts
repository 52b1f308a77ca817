import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { connect, type Server, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { bind, portOf } from '../../../src/http/server/bind.ts'
import { createEntrance } from '../../../src/http/server/entrance.ts'
import type { Turns } from '../../../src/lib/turns.ts'
import { startDaemon } from '../../_util/daemon.ts'

const LIST =
  'POST /process.Process/List HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}'
const HEALTH = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'

async function client(port: number, request = ''): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  await once(socket, 'connect')
  if (request !== '') await new Promise((resolve) => socket.write(request, resolve))
  return socket
}

const CONNECT_ALL = `
import json, socket, sys
made = []
for text in json.loads(sys.argv[2]):
    made.append(socket.create_connection(('127.0.0.1', int(sys.argv[1]))))
    made[-1].sendall(text.encode())
`

/** Connects and sends, in this order, while the event loop stands; the clients close their side then. */
function connectAll(port: number, requests: readonly string[]): void {
  const { status } = spawnSync('python3', ['-c', CONNECT_ALL, String(port), JSON.stringify(requests)])
  expect(status).toBe(0)
}

/** Turns that nothing gets. */
const never = { run: () => {} }
const atOnce: Turns = {
  waiting: 0,
  free: true,
  run: (_owner, work) => work(),
  queue: (_owner, work) => work(),
  turn: () => undefined,
  next: () => Promise.resolve(),
}

/** An entrance on a port of its own, and who was let in. */
async function openEntrance(
  turns: Pick<Turns, 'run'>,
  { waiting = 1000, isAbandoned = (): boolean => false, initsWait = (): boolean => false } = {},
) {
  const entered: Socket[] = []
  const enter = (socket: Socket) => void entered.push(socket)
  const entrance = createEntrance({ turns, waiting, isAbandoned, initsWait, enter, whenRoom: (run) => run() })
  const servers: Server[] = await bind({ address: '127.0.0.1', port: 0 }, entrance.accept)
  const [server] = servers
  return {
    port: server === undefined ? 0 : portOf(server),
    entered,
    entrance,
    [Symbol.asyncDispose]: async () => {
      entrance.close('ended')
      for (const socket of entered) socket.destroy()
      for (const each of servers) each.close()
    },
  }
}

test('connections that wait are accepted in a few turns of the event loop, and speak as any other', async () => {
  await using door = await openEntrance(atOnce)
  const clients = Array.from({ length: 256 }, () => connect(door.port, '127.0.0.1'))
  let turns = 0
  for (; door.entered.length < clients.length; turns++) await setImmediate()
  expect(turns).toBeLessThan(32)
  for (const socket of door.entered) socket.end('hello')
  for (const socket of clients) expect(String(await socket.setEncoding('utf8').toArray())).toBe('hello')
})

test('urgent and silent connections are let in before the others', async () => {
  await using door = await openEntrance(never)
  connectAll(door.port, [LIST, LIST, LIST, LIST, HEALTH, LIST, '', LIST])
  await expect.poll(() => door.entered.length).toBe(3)
  const heard = door.entered.map(async (socket) => String(await socket.setEncoding('utf8').toArray()))
  // The first one was accepted by Node.
  expect(await Promise.all(heard)).toEqual([LIST, '', HEALTH])
})

test('a connection that had said nothing when it came does not wait for the turns of others', async () => {
  await using door = await openEntrance(never)
  connectAll(door.port, [LIST, ...Array(100).fill('')])
  await expect.poll(() => door.entered.length).toBe(101)
})

test('health checks are let in before what else is answered at once', async () => {
  await using door = await openEntrance(never)
  const metrics = 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'
  connectAll(door.port, [LIST, ...Array(20).fill(metrics), HEALTH])
  await expect.poll(() => door.entered.length).toBe(22)
  const heard = door.entered.slice(0, 2).map(async (socket) => String(await socket.setEncoding('utf8').toArray()))
  expect(await Promise.all(heard)).toEqual([LIST, HEALTH])
})

test('initializations stay unread while others wait, and health checks pass them', async () => {
  let crowded = true
  await using door = await openEntrance(never, { initsWait: () => crowded })
  const init = (name: string) => `POST /init HTTP/1.1\r\nHost: ${name}\r\n\r\n`
  connectAll(door.port, [LIST, init('old'), init('new'), HEALTH])
  await expect.poll(() => door.entered.length).toBe(2)
  for (let turn = 0; turn < 20; turn++) await setImmediate()
  expect(door.entered).toHaveLength(2)
  crowded = false
  await expect.poll(() => door.entered.length).toBe(4)
  const heard = door.entered.map(async (socket) => String(await socket.setEncoding('utf8').toArray()))
  expect(await Promise.all(heard)).toEqual([LIST, HEALTH, init('old'), init('new')])
})

test('so many wait to be let in as the limit allows, health checks pass them, and others are closed', async () => {
  await using door = await openEntrance(never, { waiting: 50 })
  const before = readdirSync('/proc/self/fd').length
  connectAll(door.port, [...Array(100).fill(LIST), HEALTH])
  await expect.poll(() => door.entered.length).toBe(2)
  // The first one was accepted by Node.
  const heard = door.entered.map(async (socket) => String(await socket.setEncoding('utf8').toArray()))
  expect(await Promise.all(heard)).toEqual([LIST, HEALTH])
  for (const socket of door.entered) socket.destroy()
  await expect.poll(() => readdirSync('/proc/self/fd').length).toBe(before + 50)
  door.entrance.close('ended')
  expect(readdirSync('/proc/self/fd').length).toBe(before)
})

test('of initializations beyond the limit the newest stay', async () => {
  let crowded = true
  await using door = await openEntrance(never, { waiting: 5, initsWait: () => crowded })
  const init = (name: number) => `POST /init HTTP/1.1\r\nHost: ${name}\r\n\r\n`
  connectAll(door.port, [LIST, ...Array.from({ length: 20 }, (_, name) => init(name)), HEALTH])
  await expect.poll(() => door.entered.length).toBe(2)
  crowded = false
  await expect.poll(() => door.entered.length).toBe(7)
  const heard = door.entered.map(async (socket) => String(await socket.setEncoding('utf8').toArray()))
  expect(await Promise.all(heard)).toEqual([LIST, HEALTH, ...[15, 16, 17, 18, 19].map(init)])
})

test('a daemon that hands over lets all in that wait', async () => {
  await using door = await openEntrance(never)
  connectAll(door.port, Array(60).fill(LIST))
  for (let turn = 0; turn < 20; turn++) await setImmediate()
  expect(door.entered.length).toBeLessThan(60)
  door.entrance.close('served')
  expect(door.entered).toHaveLength(60)
})

test('an abandoned connection is closed when its turn comes', async () => {
  await using door = await openEntrance(atOnce, { isAbandoned: () => true })
  const open = readdirSync('/proc/self/fd').length
  const clients = await Promise.all([client(door.port), client(door.port), client(door.port)])
  await Promise.all(clients.map((socket) => once(socket.resume(), 'close')))
  expect(door.entered).toEqual([])
  await expect.poll(() => readdirSync('/proc/self/fd').length).toBe(open)
})

test('a health check behind a crowd that came in a halt is answered before most of the crowd', async () => {
  await using daemon = await startDaemon()
  process.kill(daemon.pid, 'SIGSTOP')
  const crowd = await Promise.all(Array.from({ length: 1000 }, () => client(daemon.port, LIST)))
  let answered = 0
  const all = crowd.map((socket) => once(socket, 'data').then(() => answered++))
  const check = await client(daemon.port, HEALTH)
  process.kill(daemon.pid, 'SIGCONT')
  await once(check, 'data')
  const before = answered
  await Promise.all(all)
  for (const socket of [...crowd, check]) socket.destroy()
  expect(before).toBeLessThan(100)
})
