import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
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

test('every function of the addon survives arguments of every wrong kind', async () => {
  const addon: Record<string, (...values: unknown[]) => unknown> = createRequire(import.meta.url)(
    join(import.meta.dirname, '../../dist/envd.node'),
  )
  // A descriptor that is open nowhere: what is accepted by its type must not touch the tests' own.
  const kinds = [
    undefined,
    null,
    'text',
    {},
    [],
    Symbol('s'),
    1n,
    true,
    Number.NaN,
    -1,
    0x7fffffff,
    vi.fn(),
    new Float64Array(1),
  ]
  const harmless = Object.keys(addon).filter(
    (name) => !['setClock', 'setChildSubreaper', 'waitOrphan', 'removeTree'].includes(name),
  )
  expect(harmless.length).toBeGreaterThan(12)
  for (const name of harmless) {
    for (const first of kinds) {
      for (const second of kinds) {
        let result: unknown
        try {
          result = await addon[name]?.(first, second, second, first)
        } catch (error) {
          expect(error).toBeInstanceOf(Error)
        }
        if (Array.isArray(result) && (name === 'pipe' || name === 'openTerminal')) for (const fd of result) close(fd)
      }
    }
  }
})
