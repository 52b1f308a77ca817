import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { type Random, seeded } from './random.ts'

/** What listens in the sandbox and answers each connection in another way, most of them wrong. Disposing ends it. */
export interface OddServer extends AsyncDisposable {
  readonly port: number
}

const ANSWERS = [
  'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
  'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok',
  'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!',
  'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
  'HTTP/1.1 200 \ud83d\r\nSet-Cookie: a=b\r\nSet-Cookie: ;\r\n\r\n',
  'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nx',
  'HTTP/1.1 101 Switching Protocols\r\n\r\n',
  'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n',
  'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello',
  'HTTP/1.1 302 Found\r\nLocation: http://[\r\n\r\n',
  'HTTP/1.1 302 Found\r\nLocation: /a\0b\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 999 Odd\r\nConnection: close, X\r\nX: y\r\n\r\n',
  'HTTP/1.1 000 None\r\n\r\n',
  'HTTP/2.0 200 OK\r\n\r\n',
  'HTTP/1.1 200 OK\r\nX: é\r\nY:\x01\r\n\r\n',
  'HTTP/1.1 200 OK\nContent-Length: 0\n\n',
  '\x16\x03\x01',
  '',
] as const

/** Starts one on a free port of loopback; a seed repeats its choices. Each connection ends after its answer. */
export async function startOddServer(seed: number): Promise<OddServer> {
  const random = seeded(seed)
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}).on('close', () => sockets.delete(socket)))
    if (random.chance(0.1)) return socket.destroy()
    socket.once('data', () => socket.end(answer(random)))
    return socket.resume()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    // A TCP server's address is an object.
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((closed) => server.close(closed))
    },
  }
}

function answer(random: Random): Buffer {
  const bytes = Buffer.from(random.pick(ANSWERS), 'latin1')
  if (random.chance(0.3) && bytes.length > 0) bytes[random.int(bytes.length)] = random.int(256)
  return random.chance(0.1) ? bytes.subarray(0, random.int(bytes.length + 1)) : bytes
}
