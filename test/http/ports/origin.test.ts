import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { expect, test } from 'vitest'
import { commonDaemon } from '../../_util/common-daemon.ts'
import { sendWhole } from '../../_util/http.ts'

const daemon = commonDaemon()

/** What a browser keeps for the whole origin of a page, or for its host. */
const OF_THE_ORIGIN = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Origin-Agent-Cluster': '?0',
  'Clear-Site-Data': '"*"',
  'Strict-Transport-Security': 'max-age=0; includeSubDomains',
  'Public-Key-Pins': 'max-age=1',
  'Expect-CT': 'max-age=1, enforce, report-uri="https://other.example/"',
  'Alt-Svc': 'h2="other.example:443"',
  NEL: '{"report_to":"x","max_age":31536000,"include_subdomains":true}',
  'Report-To': '{"group":"x","max_age":31536000,"endpoints":[{"url":"https://other.example/"}]}',
  'Accept-CH': 'Sec-CH-UA-Full-Version-List',
  'Set-Login': 'logged-out',
} as const

/** What holds for the page alone. */
const OF_THE_PAGE = {
  'Content-Security-Policy': "default-src 'self'; report-uri /reports",
  'Reporting-Endpoints': 'x="/reports"',
  Link: '</style.css>; rel=preload; as=style',
  'Content-Disposition': 'attachment; filename="a.html"',
  'X-Frame-Options': 'DENY',
  'Permissions-Policy': 'camera=()',
  'Cross-Origin-Embedder-Policy': 'require-corp',
} as const

/** An app that answers with these, requests of WebSockets too. */
async function startApp(headers: Readonly<Record<string, string | readonly string[]>>) {
  const server = createServer((_request, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    response.end()
  })
  server.on('upgrade', (_request, socket) => {
    const lines = Object.entries(headers).flatMap(([name, value]) => [value].flat().map((one) => `${name}: ${one}\r\n`))
    socket.end(`HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${lines.join('')}\r\n`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  // A TCP server's address is an object.
  return { port: (server.address() as AddressInfo).port, [Symbol.asyncDispose]: close }
}

const ask = async (target: string, http2 = false, headers: Readonly<Record<string, string>> = {}) =>
  (await sendWhole(`${daemon.url}${target}`, { http2, headers })).headers

test.each(Object.entries(OF_THE_ORIGIN))(
  '%s of an app passes only where the app has an origin of its own',
  async (name, value) => {
    await using app = await startApp({ [name]: value })
    for (const http2 of [false, true])
      for (const kind of ['ports', 'absports'])
        expect(await ask(`/${kind}/${app.port}/`, http2), `${kind} ${http2}`).not.toHaveProperty(name.toLowerCase())
    expect(await ask('/', false, { 'e2b-sandbox-port': String(app.port) })).toMatchObject({
      [name.toLowerCase()]: value,
    })
  },
)

test('nor does any of them with the answer to a WebSocket', async () => {
  await using app = await startApp({ ...OF_THE_ORIGIN, 'Service-Worker-Allowed': '/', 'Set-Cookie': 'a=b; Path=/' })
  const client = connect(daemon.port, '127.0.0.1').setEncoding('latin1')
  client.write(`GET /absports/${app.port}/ HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)
  const answer = (await client.toArray()).join('')
  expect(answer).toMatch(/^HTTP\/1.1 101 /)
  for (const name of [...Object.keys(OF_THE_ORIGIN), 'Service-Worker-Allowed'])
    expect(answer.toLowerCase()).not.toContain(`\r\n${name.toLowerCase()}:`)
  expect(answer).toContain(`a=b; Path=/absports/${app.port}/\r\n`)
})

test('what holds for the page alone passes as it is', async () => {
  await using app = await startApp(OF_THE_PAGE)
  const headers = await ask(`/ports/${app.port}/`)
  for (const [name, value] of Object.entries(OF_THE_PAGE)) expect(headers[name.toLowerCase()], name).toBe(value)
})

const COOKIES: readonly (readonly [sent: string, ports: string, absports: string])[] = [
  ['a=b', 'a=b', 'a=b'],
  ['a=b; Path=/', 'a=b; Path=HOME/', 'a=b; Path=HOME/'],
  ['a=b; Path=/x; HttpOnly', 'a=b; Path=HOME/x; HttpOnly', 'a=b; Path=HOME/; HttpOnly'],
  ['a=b; Path=/absports/PORT/x', 'a=b; Path=HOME/absports/PORT/x', 'a=b; Path=HOME/x'],
  ['a=b; Path=/absports/PORT1/x', 'a=b; Path=HOME/absports/PORT1/x', 'a=b; Path=HOME/'],
  ['a=b; Path=/console', 'a=b; Path=HOME/console', 'a=b; Path=HOME/'],
  ['a=b; path=/x; PATH=/', 'a=b; Path=HOME/', 'a=b; Path=HOME/'],
  ['a=b;\tpath \t=  /', 'a=b; Path=HOME/', 'a=b; Path=HOME/'],
  ['a=b; Path=/x; Path=', 'a=b; Path=', 'a=b; Path='],
  ['a=b; Path=x', 'a=b; Path=', 'a=b; Path='],
  ['a="; Path=/"; Secure', 'a="; Path=HOME/"; Secure', 'a="; Path=HOME/; Secure'],
  ['a=b; Domain=example.com; Path=/; domain = .com', 'a=b; Path=HOME/', 'a=b; Path=HOME/'],
  ['__Host-a=b; Secure; Path=/', '__Host-a=b; Secure; Path=HOME/', '__Host-a=b; Secure; Path=HOME/'],
]

test.each(COOKIES)('the cookie %j stays below the path of its port', async (sent, ports, absports) => {
  const wanted = { ports, absports }
  let cookie = ''
  const server = createServer((_request, response) => void response.setHeader('set-cookie', cookie).end())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  // A TCP server's address is an object.
  const { port } = server.address() as AddressInfo
  cookie = sent.replace('PORT', String(port))
  for (const kind of ['ports', 'absports'] as const) {
    const expected = wanted[kind].replace('HOME', `/${kind}/${port}`).replace('PORT', String(port))
    expect((await ask(`/${kind}/${port}/`))['set-cookie'], kind).toBe(expected)
  }
  const own = await ask('/', false, { 'e2b-sandbox-port': String(port) })
  expect(own['set-cookie']).toBe(cookie)
  server.close()
})

test('a cookie that browsers would send as one of the daemon is dropped, without a name too', async () => {
  const name = (port: number) => `envd-port-${port}`
  for (const form of [`NAME=x`, ` NAME=x`, `=NAME=x`, ` = NAME=x; Path=/`]) {
    await using app = await startApp({ 'Set-Cookie': [form.replace('NAME', name(1)), 'own=1'] })
    expect((await ask(`/ports/${app.port}/`))['set-cookie'], form).toBe('own=1')
    expect((await ask('/', false, { 'e2b-sandbox-port': String(app.port) }))['set-cookie'], form).toBe('own=1')
  }
})

test('an app that leads on by Refresh stays below its path', async () => {
  const forms = {
    '0; url=/login': '0; url=HOME/login',
    '5;URL="/login"': '5;URL="HOME/login"',
    '1.5 , url = http://localhost:PORT/x': '1.5 , url = HOME/x',
    '0;url=https://other.example/': '0;url=https://other.example/',
    '0;url=//other.example/': '0;url=//other.example/',
    '0; url=next': '0; url=next',
    '10': '10',
  }
  for (const [sent, wanted] of Object.entries(forms)) {
    let value = sent
    const server = createServer((_request, response) => void response.setHeader('refresh', value).end())
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    // A TCP server's address is an object.
    const { port } = server.address() as AddressInfo
    value = sent.replace('PORT', String(port))
    expect((await ask(`/ports/${port}/`))['refresh']).toBe(wanted.replace('HOME', `/ports/${port}`))
    expect((await ask(`/absports/${port}/`))['refresh']).toBe(value)
    server.close()
  }
})
