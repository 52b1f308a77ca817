import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test, vi } from 'vitest'
import { admitInTurn } from '../../../src/http/server/admission.ts'
import { createWaitingBodies } from '../../../src/http/server/waiting-bodies.ts'
import { createTurns } from '../../../src/lib/turns.ts'
import { sendWhole } from '../../_util/http.ts'
import { connectRaw } from '../front.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean()
})

/** A server whose time for requests is over as soon as one has begun, in each turn of the event loop. */
async function startServer() {
  let clock = 0
  const turns = createTurns(() => {
    clock += 10
    return clock
  })
  const seen: string[] = []
  const handler: RequestListener = (request, response) => {
    seen.push(request.url ?? '')
    response.writeHead(204).end()
  }
  const server = createServer(admitInTurn(handler, turns, createWaitingBodies())).listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => void server.close())
  const { port } = server.address() as AddressInfo
  return { turns, seen, server, port, url: `http://127.0.0.1:${port}` }
}

test('requests that wait are all answered, in the order of their connection', async () => {
  const { seen, port } = await startServer()
  await using client = await connectRaw(port)
  const paths = Array.from({ length: 20 }, (_, number) => `/${number}`)
  client.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''))
  await expect.poll(() => client.received().split('HTTP/1.1 204').length - 1).toBe(20)
  expect(seen).toEqual(paths)
})

test('health is answered before what waits', async () => {
  const { turns, seen, port } = await startServer()
  const crowd = {}
  const gate = Array.from({ length: 1000 }, () => turns.next(crowd))
  await using client = await connectRaw(port)
  client.write(['/1', '/2', '/3', '/health'].map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''))
  await vi.waitUntil(() => seen.length === 4, { timeout: 15_000 })
  expect(seen).toEqual(['/health', '/1', '/2', '/3'])
  await Promise.all(gate)
})

test('health is answered before much of what else is answered at once, on however many connections it comes', async () => {
  const seen: string[] = []
  const handler: RequestListener = (request, response) => {
    seen.push(request.url ?? '')
    const began = performance.now()
    while (request.url === '/metrics' && performance.now() - began < 2);
    response.writeHead(204).end()
  }
  const turns = createTurns()
  const take = admitInTurn(handler, turns, createWaitingBodies())
  const held: Parameters<RequestListener>[] = []
  // Reads of one turn of the event loop.
  const server = createServer((...exchange) => held.push(exchange)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => void server.close())
  const { port } = server.address() as AddressInfo
  const paths = [...Array.from({ length: 50 }, () => '/metrics'), '/health']
  const answers = paths.map((path) => sendWhole(`http://127.0.0.1:${port}${path}`))
  await vi.waitUntil(() => held.length === paths.length, { timeout: 15_000 })
  held.sort(([a], [b]) => (b.url ?? '').length - (a.url ?? '').length)
  for (const exchange of held) take(...exchange)
  expect(seen).toEqual(['/metrics', '/health'])
  await Promise.all(answers)
  expect(seen.length).toBe(paths.length)
})

test('when too many requests wait, their connection gets 503; others have their turn, and health is answered', async () => {
  const { turns, url, seen, server, port } = await startServer()
  const requests = 'GET /work HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(4096)
  const gate = Array.from({ length: 20_000 }, () => turns.next({}))
  await using client = await connectRaw(port)
  client.write(requests)
  let received = 0
  let refused = 0
  server.on('request', (_request, response) => {
    received++
    if (response.statusCode === 503) refused++
  })
  await vi.waitUntil(() => received === 4096, { timeout: 15_000 })
  expect((await sendWhole(`${url}/health`)).status).toBe(204)
  expect(seen).toEqual(['/health'])
  const other = sendWhole(`${url}/other`)
  await vi.waitUntil(() => received === 4098, { timeout: 15_000 })
  expect(refused).toBe(0)
  client.write('GET /one-more HTTP/1.1\r\nHost: x\r\n\r\n')
  await vi.waitUntil(() => refused === 1, { timeout: 15_000 })
  await Promise.all(gate)
  expect((await other).status).toBe(204)
  await vi.waitUntil(() => client.received().includes('too many requests wait'), { timeout: 15_000 })
  expect(client.received()).toContain('HTTP/1.1 503')
  expect(client.received().toLowerCase()).toContain('retry-after: 1')
  expect(seen).not.toContain('/one-more')
})

test('a request whose client has left meanwhile is dropped', async () => {
  const { turns, seen, server, port } = await startServer()
  const gate = Array.from({ length: 500 }, () => turns.next({}))
  await using client = await connectRaw(port)
  client.write('GET /work HTTP/1.1\r\nHost: x\r\n\r\n')
  const [, response] = await once(server, 'request')
  const closed = once(response, 'close')
  client.socket.destroy()
  await closed
  await Promise.all(gate)
  await expect.poll(() => turns.waiting).toBe(0)
  expect(seen).toEqual([])
})
