import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { close, noFileLimit, openPipe, setClock, setTcpUserTimeout } from '../../src/native/index.ts'
import { inNamespace } from '../_util/namespace.ts'

test('the limits of open files are those of the process', () => {
  const fields = /^Max open files\s+(\S+)\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
  const expected = fields?.slice(1).map((field) => (field === 'unlimited' ? Number.POSITIVE_INFINITY : Number(field)))
  expect(noFileLimit()).toEqual(expected)
})

test('a clock that may not be set gives EPERM; times that cannot be are refused', (context) => {
  for (const [seconds, nanoseconds] of [
    [-1, 0],
    [1.5, 0],
    [0, 1e9],
    [Number.NaN, 0],
    [2 ** 60, 0],
  ] as const) {
    expect(() => setClock(seconds, nanoseconds)).toThrow(TypeError)
  }
  if (!inNamespace) context.skip('outside the namespace this could set the clock of the machine')
  const before = Date.now()
  expect(() => setClock(1, 0)).toThrow(expect.objectContaining({ code: 'EPERM' }))
  expect(Date.now()).toBeGreaterThanOrEqual(before)
})

async function connectedPair(): Promise<{ server: Server; client: Socket }> {
  const server = createServer((socket) => socket.on('error', () => undefined))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no TCP address')
  const client = createConnection(address.port, '127.0.0.1')
  await once(client, 'connect')
  return { server, client }
}

test('TCP_USER_TIMEOUT is set on a socket, and refused by what is none', async () => {
  const { server, client } = await connectedPair()
  // Node has no public way to a socket's descriptor.
  const { fd } = Reflect.get(client, '_handle') as { fd: number }
  expect(() => setTcpUserTimeout(fd, 30_000)).not.toThrow()
  expect(() => setTcpUserTimeout(fd, -1)).toThrow(TypeError)
  client.destroy()
  server.close()
  const [reading, writing] = openPipe()
  expect(() => setTcpUserTimeout(reading, 1)).toThrow(expect.objectContaining({ code: 'ENOTSOCK' }))
  close(reading)
  close(writing)
})
