import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net'
import { expect, test } from 'vitest'
import { commonDaemon } from '../../_util/common-daemon.ts'
import { send, sendWhole } from '../../_util/http.ts'

const daemon = commonDaemon()

interface App extends AsyncDisposable {
  readonly port: number
  readonly server: Server
}

async function startApp(handler: RequestListener, host = '127.0.0.1'): Promise<App> {
  const server = createServer(handler)
  server.listen(0, host)
  await once(server, 'listening')
  const close = async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  // A TCP server's address is an object.
  return { port: (server.address() as AddressInfo).port, server, [Symbol.asyncDispose]: close }
}

/** Says what it was sent. */
const echo: RequestListener = async (request, response) => {
  const body = Buffer.concat(await request.toArray()).toString()
  const { method, url, headers } = request
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ method, url, headers, body }))
}

const heard = async (url: string, options: Parameters<typeof sendWhole>[1] = {}) => {
  const { status, text } = await sendWhole(url, options)
  expect(status, text).toBe(200)
  return JSON.parse(text)
}

test('a request goes to the port with its method, path, body and headers, over both versions of HTTP', async () => {
  await using app = await startApp(echo)
  for (const http2 of [false, true]) {
    const headers = { 'x-own': 'a', cookie: 'a=b; envd-port-1=secret', 'x-access-token': 'secret' }
    const options = { method: 'POST', headers, body: 'body', http2 }
    expect(await heard(`${daemon.url}/ports/${app.port}/a%2Fb/?c=d`, options)).toMatchObject({
      method: 'POST',
      url: '/a%2Fb/?c=d',
      body: 'body',
      headers: {
        'x-own': 'a',
        cookie: 'a=b',
        host: `127.0.0.1:${daemon.port}`,
        'x-forwarded-for': '127.0.0.1',
        'x-forwarded-host': `127.0.0.1:${daemon.port}`,
        'x-forwarded-proto': 'http',
        'x-forwarded-prefix': `/ports/${app.port}`,
      },
    })
  }
})

test('nothing that is for the daemon or for the connection is passed on', async () => {
  await using app = await startApp(echo)
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
  const headers = {
    'e2b-sandbox-port': String(app.port),
    'e2b-sandbox-id': 'id',
    'x-access-token': 'secret',
    authorization: basic('user:'),
    connection: 'close, X-Of-Connection',
    'x-of-connection': 'yes',
    'keep-alive': 'timeout=5',
    te: 'trailers',
    'proxy-authorization': 'secret',
  }
  const { headers: seen, url } = await heard(`${daemon.url}/execute`, { headers })
  expect(url).toBe('/execute')
  expect(Object.keys(seen).sort()).toEqual([
    'connection',
    'host',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-forwarded-proto',
  ])
  const own = { ...headers, authorization: basic('user:password') }
  expect((await heard(`${daemon.url}/execute`, { headers: own })).headers.authorization).toBe(own.authorization)
})

test('the header leads to the daemon when it names its port, and to no port when it is none', async () => {
  for (const port of ['49983', String(daemon.port)])
    expect((await sendWhole(`${daemon.url}/health`, { headers: { 'e2b-sandbox-port': port } })).status).toBe(204)
  expect((await sendWhole(`${daemon.url}/health`, { headers: { 'e2b-sandbox-port': 'x' } })).status).toBe(400)
  expect((await sendWhole(`${daemon.url}/ports/${daemon.port}/health`)).status).toBe(403)
})

test('a port that is not open answers 502, and one of ::1 alone is reached', async () => {
  const app = await startApp(echo, '::1')
  expect(await heard(`${daemon.url}/ports/${app.port}/x`)).toMatchObject({ url: '/x' })
  await app[Symbol.asyncDispose]()
  const { status, text } = await sendWhole(`${daemon.url}/ports/${app.port}/x`)
  expect(status).toBe(502)
  expect(JSON.parse(text)).toMatchObject({ code: 502, message: expect.stringContaining('port is not open') })
})

test('what is not HTTP, and a connection that ends without an answer, are 502', async () => {
  for (const words of ['SSH-2.0-x\r\n', '']) {
    const server = createTcpServer((socket) => socket.on('error', () => {}).end(words))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    expect((await sendWhole(`${daemon.url}/ports/${port}/`)).status).toBe(502)
    server.close()
  }
})

test('redirects and cookies stay below the path of the port, and no service worker leaves it', async () => {
  await using app = await startApp((request, response) => {
    const location = decodeURIComponent(request.url?.split('?')[1] ?? '')
    response.setHeader('set-cookie', ['a=b; Path=/; HttpOnly', 'c=d; path=/x', 'e=f'])
    response.writeHead(302, 'Over There', { location, 'service-worker-allowed': '/' }).end()
  })
  const located = async (location: string, kind = 'ports') =>
    (await sendWhole(`${daemon.url}/${kind}/${app.port}/?${encodeURIComponent(location)}`)).headers
  const prefix = `/ports/${app.port}`
  expect((await located('/login'))['location']).toBe(`${prefix}/login`)
  expect((await located(`http://localhost:${app.port}/x`))['location']).toBe(`${prefix}/x`)
  expect((await located('https://other.example/x'))['location']).toBe('https://other.example/x')
  expect((await located('//other.example/x'))['location']).toBe('//other.example/x')
  expect((await located('relative'))['location']).toBe('relative')
  expect((await located('/login', 'absports'))['location']).toBe('/login')
  const headers = await located('/')
  expect(headers['set-cookie']).toBe(`a=b; Path=${prefix}/; HttpOnly, c=d; Path=${prefix}/x, e=f`)
  expect(headers).not.toHaveProperty('service-worker-allowed')
  expect((await sendWhole(`${daemon.url}${prefix}?q`)).headers['location']).toBe(`${app.port}/?q`)
})

test('a page below the path of a port shares no window with the console, clears nothing, and lets nobody in', async () => {
  const policies = { 'cross-origin-opener-policy': 'same-origin', 'clear-site-data': '"*"' }
  await using app = await startApp((_request, response) => {
    response.writeHead(200, { ...policies, 'set-cookie': [`envd-port-${app.port}=x; Path=/`, 'own=1'] }).end()
  })
  for (const kind of ['ports', 'absports']) {
    const { headers } = await sendWhole(`${daemon.url}/${kind}/${app.port}/`)
    for (const name of Object.keys(policies)) expect(headers).not.toHaveProperty(name)
    expect(headers['set-cookie']).toBe('own=1')
  }
  const byHeader = await sendWhole(`${daemon.url}/`, { headers: { 'e2b-sandbox-port': String(app.port) } })
  expect(byHeader.headers).toMatchObject({ ...policies, 'set-cookie': 'own=1' })
})

test('events come one by one, and a client that leaves ends the connection to the port', async () => {
  const closed = Promise.withResolvers<void>()
  const next: (() => void)[] = []
  await using app = await startApp((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    let count = 0
    next.push(() => response.write(`data: ${++count}\n\n`))
    response.on('close', () => closed.resolve())
  })
  const answer = await send(`${daemon.url}/ports/${app.port}/events`)
  expect(answer.headers['content-type']).toBe('text/event-stream')
  for (const count of [1, 2]) {
    next[0]?.()
    const [chunk] = await once(answer.body, 'data')
    expect(String(chunk)).toBe(`data: ${count}\n\n`)
  }
  answer.close()
  await closed.promise
})

test('a client that reads nothing stops the port, and a port that reads nothing stops the client', async () => {
  let written = 0
  const stopped = Promise.withResolvers<void>()
  const chunk = Buffer.alloc(64 * 1024)
  await using app = await startApp((request, response) => {
    if (request.method === 'POST') return
    const write = () => {
      while (written < 1024 * 1024 * 1024) {
        written += chunk.length
        if (!response.write(chunk)) return stopped.resolve()
      }
    }
    response.on('drain', write)
    write()
  })
  const client = connect(daemon.port, '127.0.0.1')
  client.on('error', () => {})
  client.pause()
  client.write(`GET /ports/${app.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`)
  await stopped.promise
  const upload = connect(daemon.port, '127.0.0.1')
  upload.on('error', () => {})
  upload.write(`POST /ports/${app.port}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`)
  let sent = 0
  while (upload.write(`10000\r\n${'x'.repeat(0x10000)}\r\n`) || (await drained(upload))) sent += 0x10000
  // What lies in the buffers of two connections of loopback.
  expect(written).toBeLessThan(64 * 1024 * 1024)
  expect(sent).toBeLessThan(64 * 1024 * 1024)
  client.destroy()
  upload.destroy()
})

/** Whether what was written leaves within a second. */
async function drained(socket: NodeJS.EventEmitter): Promise<boolean> {
  const signal = AbortSignal.timeout(1000)
  return once(socket, 'drain', { signal }).then(
    () => true,
    () => false,
  )
}

test('a WebSocket goes through, both ways, and its end as well', async () => {
  await using app = await startApp(echo)
  const ended = Promise.withResolvers<void>()
  app.server.on('upgrade', (request: IncomingMessage, socket, head: Buffer) => {
    socket.write(
      `HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Path: ${request.url}\r\n\r\nhello `,
    )
    socket.write(head)
    socket.on('data', (bytes: Buffer) => socket.write(bytes))
    socket.on('end', () => socket.end())
    socket.on('error', () => {}).on('close', () => ended.resolve())
  })
  const client = connect(daemon.port, '127.0.0.1').setEncoding('latin1')
  const upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13'
  client.write(`GET /ports/${app.port}/hmr?x HTTP/1.1\r\nHost: x\r\n${upgrade}\r\n\r\nearly `)
  let text = ''
  client.on('data', (piece) => {
    text += piece
  })
  await expect.poll(() => text).toMatch(/^HTTP\/1.1 101 Yes\r\n[\s\S]*x-path: \/hmr\?x[\s\S]*\r\n\r\nhello early $/i)
  client.write('late')
  await expect.poll(() => text).toMatch(/early late$/)
  client.destroy()
  await ended.promise
})

test('a WebSocket is refused as the port refuses it, and where nothing listens', async () => {
  await using app = await startApp((_request, response) => void response.writeHead(418).end('no'))
  const asked = async (target: string) => {
    const client = connect(daemon.port, '127.0.0.1').setEncoding('latin1')
    client.write(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
    return (await client.toArray()).join('')
  }
  expect(await asked(`/ports/${app.port}/`)).toMatch(/^HTTP\/1.1 418 [\s\S]*\r\nno\r\n0\r\n\r\n$/)
  expect(await asked('/ports/1/')).toMatch(/^HTTP\/1.1 502 [\s\S]*port is not open/)
  expect(await asked('/health')).toMatch(/^HTTP\/1.1 204 /)
})
