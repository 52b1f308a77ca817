import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { sharedDaemon } from '../../_util/shared-daemon.ts'

const daemon = sharedDaemon()

const HALF = 500
const MAX = 1024
const MIB = 1024 * 1024

const descriptors = async () => (await readdir(`/proc/${daemon.pid}/fd`)).length
const memory = async () =>
  Number(/VmRSS:\s*(\d+)/.exec(await readFile(`/proc/${daemon.pid}/status`, 'latin1'))?.[1]) * 1024

/** Sends back what comes, in answers that do not end and as another protocol. */
async function startEcho() {
  const open = new Set<Socket>()
  const server = createServer((request, response) => {
    response.flushHeaders()
    request.pipe(response)
  })
  server.on('connection', (socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
  })
  server.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    socket.on('error', () => {}).pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    server.closeAllConnections()
    for (const socket of open) socket.destroy()
    server.close()
    await once(server, 'close')
  }
  // A TCP server's address is an object.
  return { port: (server.address() as AddressInfo).port, open, [Symbol.asyncDispose]: close }
}

/** A relayed connection that is open. */
interface Client {
  readonly socket: Socket
  readonly text: () => string
  readonly say: (text: string) => void
}

async function openOne(port: number, kind: 'http' | 'websocket'): Promise<Client> {
  const socket = connect(daemon.port, '127.0.0.1').on('error', () => {})
  let text = ''
  socket.setEncoding('latin1').on('data', (piece) => {
    text += piece
  })
  const head =
    kind === 'http' ? ['POST', 'Transfer-Encoding: chunked'] : ['GET', 'Connection: Upgrade\r\nUpgrade: websocket']
  socket.write(`${head[0]} /ports/${port}/ HTTP/1.1\r\nHost: x\r\n${head[1]}\r\n\r\n`)
  while (!text.includes('\r\n\r\n')) await once(socket, 'data')
  const say = (words: string) => socket.write(kind === 'http' ? `${words.length.toString(16)}\r\n${words}\r\n` : words)
  return { socket, text: () => text, say }
}

test('1,000 relays at once, half of them WebSockets: memory and descriptors are bounded, and all are closed', async () => {
  await using app = await startEcho()
  const [fdsBefore, memoryBefore] = [await descriptors(), await memory()]
  const kinds = Array.from({ length: 2 * HALF }, (_, index) => (index % 2 === 0 ? 'http' : 'websocket'))
  const clients = await Promise.all(kinds.map((kind) => openOne(app.port, kind)))
  const words = (index: number) => `<${`${index}.`.repeat(1000)}>`
  for (const [index, client] of clients.entries()) client.say(words(index))
  await expect
    .poll(
      () =>
        clients.filter(({ text }, index) =>
          text()
            .replace(/\r\n[0-9a-f]+\r\n/g, '')
            .includes(words(index)),
        ).length,
    )
    .toBe(2 * HALF)
  const [fdsMeanwhile, memoryMeanwhile] = [await descriptors(), await memory()]
  const more = Math.round((memoryMeanwhile - memoryBefore) / MIB)
  console.log(`1,000 relays: ${fdsMeanwhile - fdsBefore} descriptors, ${more} MiB`)
  expect(fdsMeanwhile - fdsBefore).toBeLessThanOrEqual(2 * 2 * HALF + 10)
  expect(more).toBeLessThan(100)
  expect(app.open.size).toBe(2 * HALF)
  for (const { socket } of clients) socket.destroy()
  await expect.poll(() => app.open.size).toBe(0)
  await expect.poll(descriptors).toBeLessThanOrEqual(fdsBefore + 5)
})

test('beyond the limit a request is 503, and let in again when another one has ended', async () => {
  await using app = await startEcho()
  const clients = await Promise.all(Array.from({ length: MAX }, () => openOne(app.port, 'http')))
  const ask = () => sendWhole(`${daemon.url}/ports/${app.port}/`, { method: 'POST', body: 'x' })
  const refused = await ask()
  expect(refused).toMatchObject({ status: 503, headers: { 'retry-after': expect.any(String) } })
  expect((await sendWhole(`${daemon.url}/health`)).status).toBe(204)
  clients[0]?.socket.destroy()
  await expect.poll(async () => (await ask()).status).toBe(200)
  for (const { socket } of clients) socket.destroy()
})
