import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import type { Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { sendWhole } from '../../_util/http.ts'
import { call, open } from '../../_util/rpc.ts'
import { type Attack, allOf, type Field, scaled } from './attack.ts'
import { streamCall, unread } from './unread.ts'

/** Milliseconds of the daemon's processor time until health is answered (p95): a third of what each took before. */
const MAX_BUSY = 75

/** A server in the sandbox; resolves with its port. */
export async function listening(server: Server, { held }: Field): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  held.defer(() => {
    server.closeAllConnections()
    server.close()
  })
  // A TCP server's address is an object.
  return (server.address() as AddressInfo).port
}

/** Writes as much as is taken, without end. */
function pour(target: Writable): void {
  const piece = Buffer.alloc(64 * 1024)
  const more = () => {
    while (target.write(piece));
    target.once('drain', more)
  }
  target.on('error', () => {})
  more()
}

/** Sends a request whose body has no end. */
async function endless({ daemon, held }: Field, head: string): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: daemon.port })
  held.defer(() => void socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(head)
  const piece = Buffer.from(`10000\r\n${'a'.repeat(0x10000)}\r\n`)
  const more = () => {
    while (socket.write(piece));
    socket.once('drain', more)
  }
  more()
}

const ROUTES = [
  '/init',
  '/files?path=/tmp/x',
  '/process.Process/List',
  '/process.Process/StreamInput',
  '/health',
  '/none',
]

async function setToken(url: string): Promise<void> {
  await sendWhole(`${url}/init`, { method: 'POST', body: JSON.stringify({ accessToken: 'secret' }) })
}

/** Sends the headers of a request, then a part of its body. */
async function twoPackets({ daemon, held }: Field, path: string): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port: daemon.port })
  held.defer(() => void socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 900000\r\n\r\n`)
  await delay(5)
  socket.write(PART)
}

const PART = Buffer.alloc(200_000, 0x20)

const UPGRADE = 'Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n'

/** Draws text, which is cheap, and then nothing but resets of a large screen. */
const RESETS = `import os
os.write(1, b'hello world\\r\\n' * 5000)
while True: os.write(1, b'\\x1bc' * 500)`

export const services: readonly Attack[] = [
  {
    name: 'bodies of 200 KB that stop in the middle',
    maxBusy: MAX_BUSY,
    run: (field) => {
      const head = 'POST /process.Process/List HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
      const request = Buffer.concat([Buffer.from(`${head}Content-Length: 900000\r\n\r\n`), Buffer.alloc(200_000, 0x20)])
      return allOf(scaled(4000, field), 50, () => unread(field, request))
    },
  },
  {
    name: 'bodies that stop after their second packet, without the token',
    maxBusy: MAX_BUSY,
    prepare: ({ daemon }) => setToken(daemon.url),
    run: (field) => allOf(scaled(4000, field), 50, (index) => twoPackets(field, ROUTES[index % ROUTES.length] ?? '')),
  },
  {
    name: 'bodies for /init that stop after their second packet, without the token',
    maxBusy: MAX_BUSY,
    prepare: ({ daemon }) => setToken(daemon.url),
    run: (field) => allOf(scaled(4000, field), 50, () => twoPackets(field, '/init')),
  },
  {
    name: 'WebSockets of a port that nobody reads',
    maxBusy: MAX_BUSY,
    run: async (field) => {
      const server = createServer()
      server.on('upgrade', (_request, socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n')
        pour(socket)
      })
      const port = await listening(server, field)
      const request = `GET /ports/${port}/ HTTP/1.1\r\nHost: x\r\n${UPGRADE}\r\n`
      await allOf(scaled(1000, field), 50, () => unread(field, request))
    },
  },
  {
    name: 'answers of a port that nobody reads',
    run: async (field) => {
      const server = createServer((_request, response) => pour(response))
      const port = await listening(server, field)
      const request = `GET /ports/${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`
      await allOf(scaled(1000, field), 50, () => unread(field, request))
    },
  },
  {
    name: 'bodies without end for a port that reads none',
    run: async (field) => {
      const port = await listening(
        createServer((request) => void request.pause()),
        field,
      )
      const head = `POST /ports/${port}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`
      await allOf(scaled(1000, field), 50, () => endless(field, head))
    },
  },
  {
    name: 'streams of a hundred directories that nobody reads',
    maxBusy: MAX_BUSY,
    prepare: ({ directory }) => allOf(100, 32, (index) => mkdir(`${directory}/d${index}`)),
    run: async (field) => {
      const paths = Array.from({ length: 100 }, (_, index) => `${field.directory}/d${index}`)
      const watch = streamCall('watch.v1.Watch/Directories', { paths, includeEntry: true })
      await allOf(scaled(2000, field), 30, () => unread(field, watch))
      for (let i = 0; i < 2000; i++) await writeFile(`${field.directory}/d${i % 100}/noise`, String(i))
    },
  },
  {
    name: 'large terminals that are reset all the time',
    maxBusy: MAX_BUSY,
    run: (field) =>
      allOf(scaled(16, field), 4, async (index) => {
        const terminal = { name: `t${index}`, size: { columns: 250, rows: 250 } }
        const command = { command: '/usr/bin/python3', args: ['-c', RESETS] }
        const stream = await open(field.daemon.url, 'terminals.v1.Terminals/Open', { ...terminal, ...command })
        field.held.defer(async () => {
          stream.close()
          // It would live on without its client.
          await call(field.daemon.url, 'terminals.v1.Terminals/Close', { terminal: { name: terminal.name } })
        })
        void stream.rest().catch(() => {})
      }),
  },
]
