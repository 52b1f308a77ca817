import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { type Attack, allOf, type Field, scaled } from './attack.ts'
import { unread } from './unread.ts'

/** What ports answer is parsed in turns: milliseconds of processor time until health is answered. */
const MAX_BUSY = 75

/** A server in the sandbox that answers with bytes of its choice; resolves with its port. */
async function answering(field: Field, answer: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('data', () => answer(socket))
    socket.resume()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  field.held.defer(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  // A TCP server's address is an object.
  return (server.address() as AddressInfo).port
}

/** Writes the same again and again, as fast as it is taken. */
function repeat(socket: Socket, piece: Buffer): void {
  const more = () => {
    while (!socket.destroyed && socket.write(piece));
  }
  socket.on('drain', more)
  more()
}

function bad(name: string, first: string, again: string, headers = ''): Attack {
  return {
    name,
    maxBusy: MAX_BUSY,
    run: async (field) => {
      const piece = Buffer.from(again.repeat(Math.ceil(8192 / again.length)), 'latin1')
      const port = await answering(field, (socket) => {
        socket.write(Buffer.from(first, 'latin1'))
        repeat(socket, piece)
      })
      const request = `GET /ports/${port}/ HTTP/1.1\r\nHost: x\r\n${headers}\r\n`
      await allOf(scaled(1000, field), 50, () => unread(field, request))
    },
  }
}

const UPGRADE = 'Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n'
const SWITCHED = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n'

/** A request again and again over each of many connections, whose answers are not read. */
function pipelined(field: Field, request: string): Promise<void> {
  return allOf(scaled(1000, field), 20, () => unread(field, request.repeat(40)))
}

export const relayAttacks: readonly Attack[] = [
  bad('headers without end from a port', 'HTTP/1.1 200 OK\r\n', 'X-A: b\r\n'),
  bad('provisional answers without end from a port', '', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'),
  bad(
    'trailers without end from a port',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n',
    'X-A: b\r\n',
  ),
  bad(
    'chunks of a byte without end from a port',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
    '1\r\nx\r\n',
  ),
  bad(
    'extensions of chunks without end from a port',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;',
    'a=b;',
  ),
  // Continuation frames of one message that has no end (RFC 6455 5.4).
  bad('fragments of WebSockets without end', `${SWITCHED}\x01\x01x`, '\x00\x01x', UPGRADE),
  {
    name: 'files of the console that are asked for again and again',
    run: async (field) => pipelined(field, await consoleRequests(field)),
  },
  {
    name: 'metrics as text that are asked for again and again',
    run: (field) =>
      pipelined(field, 'GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text\r\n\r\n'),
  },
  {
    name: 'capabilities that are asked for again and again, compressed',
    run: (field) => pipelined(field, 'GET /capabilities HTTP/1.1\r\nHost: x\r\nAccept-Encoding: zstd, gzip\r\n\r\n'),
  },
]

/** The page and the first of its scripts. */
async function consoleRequests({ daemon }: Field): Promise<string> {
  const page = await (await fetch(`${daemon.url}/console/`)).text()
  const script = /src="([^"]+\.js)"/.exec(page)?.[1] ?? ''
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n`
  return get('/console/') + get(new URL(script, `${daemon.url}/console/`).pathname)
}
