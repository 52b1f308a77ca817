import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { open, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { connectRaw } from '../http/front.ts'
import { DOOMED_ADDRESS, needsCables, startIsland } from './island.ts'

/** Far above the 2 s that a peer has, and far below the two minutes that a connection has without `/init`. */
const SOON = { timeout: 20_000 }

async function init(url: string): Promise<void> {
  const answer = await sendWhole(`${url}/init`, { method: 'POST', body: '{}' })
  expect(answer.status).toBe(204)
}

test('L1 after a resume a stream whose peer is gone is dropped, and its command goes on', async (context) => {
  await needsCables(context)
  await using dir = await makeTmpDir()
  await using island = await startIsland()
  const done = join(dir.path, 'done')
  const script = `head -c 60000000 /dev/zero; touch '${done}'; sleep 1000`
  const stream = await start(island.doomed, 'sh', { args: ['-c', script], tag: 'loud' })
  await stream.next()
  await stream.next()
  await island.cut()
  expect(await island.doomedConnections()).toBe(1)
  expect(existsSync(done)).toBe(false)

  await init(island.url)
  await expect.poll(island.doomedConnections, SOON).toBe(0)
  await expect.poll(() => existsSync(done), SOON).toBe(true)
  const again = await open(island.url, 'process.Process/Connect', { process: { tag: 'loud' } })
  expect(await again.next()).toHaveProperty('event.start')
  stream.close()
  again.close()
})

test('L1 a new stream gets output at once, while the old one is still in doubt', async (context) => {
  await needsCables(context)
  await using island = await startIsland()
  const script = 'while :; do head -c 100000 /dev/zero; done'
  const stream = await start(island.doomed, 'sh', { args: ['-c', script], tag: 'loud' })
  await stream.next()
  await island.cut()
  await init(island.url)
  const fresh = await open(island.url, 'process.Process/Connect', { process: { tag: 'loud' } })
  let received = 0
  while (received < 40_000_000) received += ((await fresh.next()).event.data?.stdout ?? '').length
  expect(await island.doomedConnections()).toBe(1)
  await expect.poll(island.doomedConnections, SOON).toBe(0)
  expect(await fresh.next()).toHaveProperty('event.data')
  stream.close()
  fresh.close()
})

test('L1 silent streams and idle connections of lost peers go too, over both HTTP versions', async (context) => {
  await needsCables(context)
  await using island = await startIsland()
  const silent = await start(island.doomed, 'sleep', { args: ['1000'] })
  const silentHttp2 = await start(island.doomed, 'sleep', { args: ['1000'], http2: true })
  const agent = new Agent({ keepAlive: true })
  const [response] = await once(get(`${island.doomed}/health`, { agent }), 'response')
  response.resume()
  await once(response, 'end')
  using wordless = await connectRaw(island.daemon.port, DOOMED_ADDRESS)
  await silent.next()
  await silentHttp2.next()
  await expect.poll(island.doomedConnections).toBe(4)

  await island.cut()
  await init(island.url)
  await expect.poll(island.doomedConnections, SOON).toBe(0)
  expect(wordless.socket.destroyed).toBe(false)
  silent.close()
  silentHttp2.close()
  agent.destroy()
})

test('L1 a peer that is there notices nothing, though it is silent or does not read', async (context) => {
  await needsCables(context)
  await using island = await startIsland()
  const size = 30_000_000
  const slow = await start(island.url, 'head', { args: ['-c', String(size), '/dev/zero'] })
  const silent = await start(island.url, 'cat', { tag: 'silent' })
  await silent.next()
  await slow.next()
  const lost = await start(island.doomed, 'sleep', { args: ['1000'] })
  await lost.next()
  await island.cut()
  // Repeated, as a caller does that does not wait long for an answer.
  for (let i = 0; i < 20; i++) {
    await init(island.url)
    await setTimeout(50)
  }
  await expect.poll(island.doomedConnections, SOON).toBe(0)

  await sendWhole(`${island.url}/process.Process/CloseStdin`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"process":{"tag":"silent"}}',
  })
  expect((await silent.rest()).messages.at(-1)).toHaveProperty('event.end')
  const { messages } = await slow.rest()
  const bytes = messages.reduce((sum, { event }) => sum + Buffer.from(event.data?.stdout ?? '', 'base64').length, 0)
  expect(bytes).toBe(size)
  lost.close()
})

test('L1 connections to forwarded ports whose peers are gone are dropped', async (context) => {
  await needsCables(context)
  await using island = await startIsland({ args: ['-forward-address', DOOMED_ADDRESS] })
  const args = ['-m', 'http.server', '--bind', '127.0.0.1', '8123']
  const server = await start(island.url, 'python3', { args })
  const connected = async () => {
    const client = await connectRaw(8123, DOOMED_ADDRESS).catch(() => undefined)
    client?.write('GET /')
    return client
  }
  let client = await connected()
  await expect.poll(async () => (client ??= await connected()), SOON).toBeDefined()
  await expect.poll(island.doomedConnections, SOON).toBe(1)
  await island.cut()
  await init(island.url)
  await expect.poll(island.doomedConnections, SOON).toBe(0)
  client?.[Symbol.dispose]()
  server.close()
})

test('L1 a thousand connections outlive repeated initializations', async (context) => {
  needsNamespace(context)
  await using daemon = await startDaemon()
  const clients = await Promise.all(Array.from({ length: 1_000 }, () => connectRaw(daemon.port)))
  const session = connectHttp2(daemon.url)
  for (let i = 0; i < 60; i++) {
    await init(daemon.url)
    await setTimeout(50)
  }
  for (const client of clients) client.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
  await expect
    .poll(() => clients.filter((client) => client.received().startsWith('HTTP/1.1 204')).length, SOON)
    .toBe(1_000)
  session.close()
  for (const client of clients) client[Symbol.dispose]()
})
