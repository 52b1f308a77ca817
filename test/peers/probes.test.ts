import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { askPeer, receivedSegments } from '../../src/native/index.ts'
import { createPeerProbes } from '../../src/peers/probes.ts'
import { startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { recordingLog } from '../_util/recording-log.ts'
import { open, start } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { connectRaw } from '../http/front.ts'
import { DOOMED_ADDRESS, needsCables, startIsland } from './island.ts'

// Each takes some seconds, and a multiple of that on a busy machine.
vi.setConfig({ testTimeout: 120_000 })

/** Far above the 2 s that a peer has, and below the two minutes and more that a connection has without `/init`. */
const SOON = { timeout: 60_000 }

async function init(url: string): Promise<void> {
  const answer = await sendWhole(`${url}/init`, { method: 'POST', body: '{}' })
  expect(answer.status).toBe(204)
}

test('after a resume a stream whose peer is gone is dropped, and its command goes on', async (context) => {
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

test('a new stream gets output while the one of a lost peer is still there, and after it', async (context) => {
  await needsCables(context)
  await using island = await startIsland()
  const script = 'while :; do head -c 100000 /dev/zero; done'
  const stream = await start(island.doomed, 'sh', { args: ['-c', script], tag: 'loud' })
  await stream.next()
  await island.cut()
  const fresh = await open(island.url, 'process.Process/Connect', { process: { tag: 'loud' } })
  let received = 0
  // Beyond what the window of recent output holds.
  while (received < 10_000_000) received += ((await fresh.next()).event.data?.stdout ?? '').length
  expect(await island.doomedConnections()).toBe(1)
  await init(island.url)
  await expect.poll(island.doomedConnections, SOON).toBe(0)
  expect(await fresh.next()).toHaveProperty('event.data')
  stream.close()
  fresh.close()
})

test('silent streams and idle connections of lost peers go too, over both HTTP versions', async (context) => {
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

test('a peer that is there notices nothing, though it is silent or does not read', async (context) => {
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

test('connections to forwarded ports whose peers are gone are dropped', async (context) => {
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

test('a thousand connections outlive repeated initializations', async (context) => {
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

test('a peer that takes nothing for as long as it likes is there; one that cannot be asked gets the limit of the kernel', async (context) => {
  needsNamespace(context)
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect(Object(server.address()).port, '127.0.0.1')
  const [near]: Socket[] = await once(server, 'connection')
  if (near === undefined) throw new Error('no connection')
  near.write(Buffer.alloc(64 * 1024 * 1024))
  const over = new AbortController()
  const limited: number[] = []
  let questions = 0
  const peers = {
    receivedSegments,
    askPeer: (fd: number) => {
      questions++
      askPeer(fd)
    },
    limitSilence: (fd: number) => void limited.push(fd),
  }
  const { log } = recordingLog()
  const probes = createPeerProbes({ peers, log, signal: over.signal, proofTime: 1_500, askInterval: 300 })
  for (let round = 1; round <= 3; round++) {
    const before = questions
    probes.add([near])
    await expect.poll(() => questions, SOON).toBeGreaterThan(before)
    await setTimeout(2_000)
    expect([near.destroyed, limited.length]).toEqual([false, 0])
  }
  const refusing = { ...peers, askPeer: () => expect.unreachable('EPERM') }
  createPeerProbes({ peers: refusing, log, signal: over.signal, proofTime: 1, askInterval: 1 }).add([near])
  await expect.poll(() => limited.length, SOON).toBe(1)
  expect(near.destroyed).toBe(false)
  over.abort()
  client.destroy()
  near.destroy()
  server.close()
})
