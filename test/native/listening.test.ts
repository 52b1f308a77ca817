import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { expect, test } from 'vitest'
import { listeningSockets } from '../../src/native/index.ts'
import { unpackListening } from '../../src/native/listening.ts'

async function listening(host: string): Promise<Server> {
  const server = createServer().listen({ host, port: 0 })
  await once(server, 'listening')
  return server
}

test('a listing of more sockets than fit into one message of the kernel is whole', async () => {
  const servers = await Promise.all(Array.from({ length: 1000 }, (_, i) => listening(i % 2 ? '127.0.0.1' : '::1')))
  // Of a server that listens on TCP the address is an object.
  const ports = new Map(
    servers.map((server) => server.address() as AddressInfo).map(({ port, address }) => [`${address} ${port}`, 1]),
  )
  const found = unpackListening(await listeningSockets(10_000)).filter(({ address, port }) =>
    ports.has(`${address} ${port}`),
  )
  expect(found).toHaveLength(1000)
  expect(new Set(found.map(({ inode }) => inode)).size).toBe(1000)
  expect(new Set(found.map(({ uid }) => uid))).toEqual(new Set([process.geteuid?.()]))
  for (const server of servers) server.close()
})

test('no more sockets than asked for are given', async () => {
  const servers = await Promise.all(['127.0.0.1', '127.0.0.1', '::1'].map(listening))
  expect(unpackListening(await listeningSockets(2))).toHaveLength(2)
  expect(unpackListening(await listeningSockets(0))).toEqual([])
  for (const server of servers) server.close()
})

test('a limit that is no number is refused', () => {
  for (const limit of [-1, 1.5, Number.NaN, '1', undefined]) {
    // A caller in plain JavaScript could pass anything.
    expect(() => listeningSockets(limit as number)).toThrow(TypeError)
  }
})

test('a listing leaves no descriptor open', async () => {
  await listeningSockets(100)
  const before = (await readdir('/proc/self/fd')).length
  for (let i = 0; i < 50; i++) await listeningSockets(100)
  expect((await readdir('/proc/self/fd')).length).toBeLessThanOrEqual(before)
})
