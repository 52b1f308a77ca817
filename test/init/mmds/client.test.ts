import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, test } from 'vitest'
import { createMmdsClient } from '../../../src/init/mmds/client.ts'
import { NEVER } from '../../../src/lib/never.ts'
import { type Conduct, OPTIONS, startFakeMmds } from './fake-mmds.ts'

test('G10 a token for 60 s is fetched, then the options with it, each over a connection of its own', async () => {
  await using mmds = await startFakeMmds()
  const client = createMmdsClient({ base: mmds.url })
  expect(await client.read(NEVER)).toEqual(OPTIONS)
  const host = mmds.url.slice('http://'.length)
  const own = (name: string) => ['Host', 'Connection', 'Content-Length'].includes(name)
  const [first, second] = mmds.requests.map(({ method, path, headers }) => ({
    line: `${method} ${path}`,
    headers: headers.filter(([name]) => !own(name)),
    transport: Object.fromEntries(headers.filter(([name]) => own(name))),
  }))
  expect(first).toEqual({
    line: 'PUT /latest/api/token',
    headers: [['X-metadata-token-ttl-seconds', '60']],
    transport: { Host: host, Connection: 'close', 'Content-Length': '0' },
  })
  expect(second).toEqual({
    line: 'GET /',
    headers: [
      ['X-metadata-token', mmds.token],
      ['Accept', 'application/json'],
    ],
    transport: { Host: host, Connection: 'close' },
  })
  expect(new Set(mmds.requests.map(({ port }) => port)).size).toBe(2)
  await expect.poll(() => mmds.connections()).toBe(0)
})

test('G10 a token serves for further looks, until the service no longer takes it', async () => {
  await using mmds = await startFakeMmds()
  const client = createMmdsClient({ base: mmds.url })
  const look = async () => {
    mmds.requests.length = 0
    const options = await client.read(NEVER)
    return { options, asked: mmds.requests.map(({ method }) => method) }
  }
  expect(await look()).toEqual({ options: OPTIONS, asked: ['PUT', 'GET'] })
  expect(await look()).toEqual({ options: OPTIONS, asked: ['GET'] })
  // The host that a snapshot was restored on.
  mmds.token = 'other'
  expect(await look()).toEqual({ options: OPTIONS, asked: ['GET', 'PUT', 'GET'] })
  expect(await look()).toEqual({ options: OPTIONS, asked: ['GET'] })
})

test('G10 a service that takes no token any more is unavailable, and asked once more', async () => {
  await using mmds = await startFakeMmds()
  const client = createMmdsClient({ base: mmds.url })
  await client.read(NEVER)
  mmds.requests.length = 0
  mmds.status = 403
  await expect(client.read(NEVER)).rejects.toMatchObject({
    kind: 'unavailable',
    message: expect.stringContaining('403'),
  })
  expect(mmds.requests.map(({ method }) => method)).toEqual(['GET', 'PUT', 'GET'])
})

test('G10 members that the host leaves out are empty, others are ignored', async () => {
  await using mmds = await startFakeMmds()
  mmds.options = { instanceID: 'i', envID: null, more: { x: [1] } }
  const options = await createMmdsClient({ base: mmds.url }).read(NEVER)
  expect(options).toEqual({ instanceID: 'i', envID: '', address: '', accessTokenHash: '' })
})

test.each([
  ['nothing', ''],
  ['no JSON', '{'],
  ['null', 'null'],
  ['an array', '[]'],
  ['a text', '"x"'],
  ['an id that is a number', { ...OPTIONS, instanceID: 7 }],
  ['an id with NUL', { ...OPTIONS, envID: 'a\0b' }],
  ['more than 64 KiB', { ...OPTIONS, more: 'x'.repeat(64 * 1024) }],
])('G10 %s is no answer', async (_, options) => {
  await using mmds = await startFakeMmds()
  mmds.options = options
  const reading = createMmdsClient({ base: mmds.url }).read(NEVER)
  await expect(reading).rejects.toMatchObject({ name: 'AppError', kind: 'unavailable' })
})

test('G10 an empty token and a status other than 200 are no answer', async () => {
  await using mmds = await startFakeMmds()
  const client = createMmdsClient({ base: mmds.url })
  mmds.token = ''
  await expect(client.read(NEVER)).rejects.toMatchObject({ kind: 'unavailable' })
  mmds.token = 'x'
  mmds.status = 404
  await expect(client.read(NEVER)).rejects.toMatchObject({
    kind: 'unavailable',
    message: expect.stringContaining('404'),
  })
})

test.each<Conduct>(['silent', 'cut'])(
  'G10 a service that is %s is unavailable, after the time limit at the latest',
  async (conduct) => {
    await using mmds = await startFakeMmds()
    mmds.conduct = conduct
    const reading = createMmdsClient({ base: mmds.url, timeout: 200 }).read(NEVER)
    await expect(reading).rejects.toMatchObject({ name: 'AppError', kind: 'unavailable' })
    await expect.poll(() => mmds.connections()).toBe(0)
  },
)

test('G10 an answer that never ends is given up', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {}).once('data', () => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  const reading = createMmdsClient({ base: `http://127.0.0.1:${port}`, timeout: 200 }).read(NEVER)
  await expect(reading).rejects.toMatchObject({ kind: 'unavailable' })
  server.close()
  await once(server, 'close')
})

test('a port on which nothing listens is unavailable', async () => {
  const mmds = await startFakeMmds()
  await mmds[Symbol.asyncDispose]()
  const reading = createMmdsClient({ base: mmds.url }).read(NEVER)
  await expect(reading).rejects.toMatchObject({ kind: 'unavailable', message: expect.stringContaining('ECONNREFUSED') })
})

test('an aborted look ends at once with the reason, and its connection with it', async () => {
  await using mmds = await startFakeMmds()
  mmds.conduct = 'silent'
  const controller = new AbortController()
  const reading = createMmdsClient({ base: mmds.url }).read(controller.signal)
  const ended = expect(reading).rejects.toThrow('enough')
  await expect.poll(() => mmds.requests.length).toBe(1)
  controller.abort(new Error('enough'))
  await ended
  await expect.poll(() => mmds.connections()).toBe(0)
  await expect(createMmdsClient({ base: mmds.url }).read(controller.signal)).rejects.toThrow('enough')
  expect(mmds.requests).toHaveLength(1)
})
