import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../../_util/daemon.ts'
import { type Headers, sendWhole } from '../../_util/http.ts'

const TOKEN = 'the-token-of-this-test'
const shown = { 'x-access-token': TOKEN }

/** Answers with the headers that it was sent. */
const app = createServer((request, response) => response.end(JSON.stringify(request.headers)))
let daemon: Daemon
let base: string
let port: number

beforeAll(async () => {
  app.listen(0, '127.0.0.1')
  await once(app, 'listening')
  // A TCP server's address is an object.
  port = (app.address() as AddressInfo).port
  daemon = await startDaemon()
  const body = JSON.stringify({ accessToken: TOKEN })
  expect((await sendWhole(`${daemon.url}/init`, { method: 'POST', body })).status).toBe(204)
  base = `${daemon.url}/ports/${port}/`
})
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]()
  app.closeAllConnections()
  app.close()
})

const statusOf = async (url: string, headers: Headers = {}) => (await sendWhole(url, { headers })).status

/** The cookies of that port, as a browser sends them. */
async function cookieOf(ofPort: number): Promise<string> {
  const answer = await sendWhole(`${daemon.url}/port-access?port=${ofPort}`, { method: 'POST', headers: shown })
  expect(answer.status).toBe(204)
  const [first = ''] = (answer.headers['set-cookie'] ?? '').split(', ')
  expect(first).toMatch(new RegExp(`; Path=/ports/${ofPort}/; Max-Age=3600; HttpOnly; SameSite=Strict$`))
  expect(first).not.toContain(TOKEN)
  return first.split(';')[0] ?? ''
}

test('a port needs the token, by path and by header, and does not get to see it', async () => {
  expect(await statusOf(base)).toBe(401)
  expect(await statusOf(daemon.url, { 'e2b-sandbox-port': String(port) })).toBe(401)
  expect(await statusOf(base, { 'x-access-token': `${TOKEN}x` })).toBe(401)
  const { status, text } = await sendWhole(base, { headers: shown })
  expect(status).toBe(200)
  expect(text).not.toContain(TOKEN)
})

test('a cookie of the port counts behind any number that are over, and behind three others', async () => {
  const cookie = await cookieOf(port)
  const over = `envd-port-${port}=1.;`
  const forged = `envd-port-${port}=999999999999.x;`
  expect(await statusOf(base, { cookie: over.repeat(500) + cookie })).toBe(200)
  expect(await statusOf(base, { cookie: forged.repeat(3) + cookie })).toBe(200)
  // Each that is compared takes time, and a client without the token may send thousands.
  expect(await statusOf(base, { cookie: forged.repeat(4) + cookie })).toBe(401)
})

test('a cookie of the port lets a browser in there only, and the app does not get to see it', async () => {
  const cookie = await cookieOf(port)
  const { status, text } = await sendWhole(base, { headers: { cookie: `theme=dark; ${cookie}` } })
  expect(status).toBe(200)
  expect(JSON.parse(text).cookie).toBe('theme=dark')
  expect(await statusOf(base, { cookie: await cookieOf(port === 1 ? 2 : 1) })).toBe(401)
  expect(await statusOf(base, { cookie: cookie.replace('.', '0.') })).toBe(401)
  expect(await statusOf(base, { cookie: `${cookie.slice(0, -1)}${cookie.endsWith('A') ? 'B' : 'A'}` })).toBe(401)
  expect(await statusOf(`${daemon.url}/files?path=/etc/hostname`, { cookie })).toBe(401)
})

test('pages of other origins do not profit from the cookie of a browser', async () => {
  const cookie = await cookieOf(port)
  const own = `http://127.0.0.1:${daemon.port}`
  expect(await statusOf(base, { cookie, origin: own, 'sec-fetch-site': 'same-origin' })).toBe(200)
  expect(await statusOf(base, { cookie, 'sec-fetch-site': 'none' })).toBe(200)
  for (const origin of ['http://127.0.0.1:1', 'https://evil.example', 'null'])
    expect(await statusOf(base, { cookie, origin })).toBe(403)
  for (const site of ['same-site', 'cross-site'])
    expect(await statusOf(base, { cookie, 'sec-fetch-site': site })).toBe(403)
})

test('access to a port is asked for with the token, for a port that can be', async () => {
  const ask = async (query: string, headers: Headers = shown) =>
    (await sendWhole(`${daemon.url}/port-access${query}`, { method: 'POST', headers })).status
  expect(await ask('?port=80', {})).toBe(401)
  for (const query of ['', '?port=', '?port=0', '?port=65536', '?port=1e3', '?port=1&port=2'])
    expect(await ask(query)).toBe(400)
})
