import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Server as NetServer, Socket } from 'node:net'

/** A request as it came. */
export interface SeenRequest {
  readonly method: string
  readonly path: string
  /** Names as they were written, in their order. */
  readonly headers: readonly (readonly [string, string])[]
  /** Of the connection. */
  readonly port: number
}

/** What the service does with requests. `silent`: nothing, for ever. `cut`: it closes the connection. */
export type Conduct = 'answer' | 'silent' | 'cut'

/** A metadata service like that of a microVM, version 2: who asks without a token of its own is refused. */
export interface FakeMmds extends AsyncDisposable {
  readonly url: string
  readonly requests: SeenRequest[]
  /** What it says, as JSON. */
  options: unknown
  conduct: Conduct
  /** Status of `GET /`. */
  status: number
  /** Text of the tokens that it gives. */
  token: string
  /** Called before each answer, which waits for it. */
  before: (request: SeenRequest) => Promise<void> | void
  /** Open connections. */
  connections(): number
}

/** Options as the platform sets them. */
export const OPTIONS = {
  instanceID: 'i-sandbox',
  envID: 'template',
  address: 'http://169.254.169.253/logs',
  accessTokenHash: '',
}

/**
 * Starts a service.
 * @param where default: a free port of 127.0.0.1; also a socket that listens already, which is the service's from then
 * on
 * @param options what it says; default: OPTIONS
 */
export async function startFakeMmds(
  where: NetServer | { readonly host: string; readonly port: number } = { host: '127.0.0.1', port: 0 },
  options: unknown = OPTIONS,
): Promise<FakeMmds> {
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => void serve(fake, request, response))
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).once('close', () => sockets.delete(socket))
  })
  server.listen(where)
  await once(server, 'listening')
  // A server that listens on TCP has such an address.
  const { address, port } = server.address() as AddressInfo
  const fake: FakeMmds = {
    url: `http://${address}:${port}`,
    requests: [],
    options,
    conduct: 'answer',
    status: 200,
    token: 'token+of/the=service',
    before: () => {},
    connections: () => sockets.size,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return fake
}

async function serve(fake: FakeMmds, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = '', url: path = '', rawHeaders, socket } = request
  const headers = rawHeaders.flatMap((name, i) => (i % 2 === 0 ? [[name, rawHeaders[i + 1] ?? ''] as const] : []))
  const seen = { method, path, headers, port: socket.remotePort ?? 0 }
  fake.requests.push(seen)
  await fake.before(seen)
  if (fake.conduct === 'silent') return
  if (fake.conduct === 'cut') return void socket.destroy()
  if (method === 'PUT' && path === '/latest/api/token') {
    const granted = Number(request.headers['x-metadata-token-ttl-seconds']) > 0
    return void response.writeHead(granted ? 200 : 400).end(granted ? fake.token : '')
  }
  const known = request.headers['x-metadata-token'] === fake.token
  if (!known) return void response.writeHead(401).end()
  const wanted = method === 'GET' && path === '/' && request.headers.accept === 'application/json'
  response.writeHead(wanted ? fake.status : 404, { 'content-type': 'application/json' })
  response.end(typeof fake.options === 'string' ? fake.options : JSON.stringify(fake.options))
}
