import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startDaemon } from '../../_util/daemon.ts'
import { type RawRequest, sendWhole } from '../../_util/http.ts'
import { sharedDaemon } from '../../_util/shared-daemon.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'
import { connectRaw } from '../front.ts'

const EVIL = 'https://evil.example'
const REFUSED = expect.objectContaining({ status: 403 })

/** No token is set, and nothing that is refused leaves anything. */
const daemon = sharedDaemon()

/** Every kind of route, known and unknown. */
const PATHS = [
  '/health',
  '/metrics',
  '/envs',
  '/init',
  '/files?path=/tmp/foreign-page',
  '/files/compose',
  '/process.Process/List',
  '/process.Process/Start',
  '/grpc.health.v1.Health/Check',
  '/nope',
  '/%zz',
  '//evil',
]

/** What a page of another site can make a browser send. */
const FOREIGN: Record<string, Record<string, string>> = {
  'an origin': { origin: EVIL },
  'the origin null': { origin: 'null' },
  'an origin that looks like loopback': { origin: 'http://localhost.evil.example' },
  'a host name of its own': { host: 'rebound.evil.example:49983' },
  'a host name of its own with a loopback origin': { host: 'evil.example', origin: 'http://localhost' },
  'a referer alone': { referer: `${EVIL}/page` },
  'the site alone': { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' },
  'a trusted referer and an origin': { referer: 'http://localhost/', origin: EVIL },
}

const SERVED: Record<string, string>[] = [
  {},
  { origin: 'http://localhost:5173', 'sec-fetch-site': 'cross-site' },
  { origin: 'http://[::1]:5173' },
  { referer: 'http://127.0.0.1:3000/page', 'sec-fetch-site': 'cross-site' },
  { 'sec-fetch-site': 'none' },
  { 'sec-fetch-site': 'same-origin' },
  { host: 'sandbox:49983' },
  { host: '10.1.2.3' },
]

test.each(Object.entries(FOREIGN))('without a token %s is refused on every route', async (_, headers) => {
  for (const http2 of [false, true]) {
    // The tests' client of HTTP/2 names the authority as it is told.
    const { host, ...others } = headers
    const named = host === undefined ? others : { ...others, [http2 ? ':authority' : 'host']: host }
    for (const path of PATHS) {
      for (const method of ['GET', 'POST', 'OPTIONS', 'PUT']) {
        const preflight = method === 'OPTIONS' ? { 'access-control-request-method': 'POST' } : {}
        const answer = await sendWhole(daemon.url + path, { method, headers: { ...preflight, ...named }, http2 })
        expect([path, method, answer.status]).toEqual([path, method, 403])
        expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
      }
    }
  }
})

test('a page cannot upload, start or initialise, also by requests that need no preflight', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'planted')
  const form = '--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\nevil\r\n--b--\r\n'
  const requests: [string, RawRequest][] = [
    [
      `/files?path=${path}`,
      { body: form, headers: { origin: EVIL, 'content-type': 'multipart/form-data; boundary=b' } },
    ],
    ['/init', { body: '{"accessToken":"evil"}', headers: { origin: 'null', 'content-type': 'text/plain' } }],
    [
      '/process.Process/Start',
      {
        body: JSON.stringify({ process: { cmd: '/usr/bin/touch', args: [path] } }),
        headers: { origin: EVIL, 'content-type': 'text/plain' },
      },
    ],
  ]
  for (const [url, request] of requests)
    expect(await sendWhole(daemon.url + url, { method: 'POST', ...request })).toEqual(REFUSED)
  await expect(access(path)).rejects.toMatchObject({ code: 'ENOENT' })
  // No token is set.
  expect((await sendWhole(`${daemon.url}/envs`)).status).toBe(200)
})

test('what is not a foreign page is served, also without an Origin', async () => {
  for (const headers of SERVED)
    expect([headers, (await sendWhole(`${daemon.url}/health`, { headers })).status]).toEqual([headers, 204])
  const page = await sendWhole(`${daemon.url}/health`, { headers: { origin: 'http://localhost:5173' } })
  expect(page.headers['access-control-allow-origin']).toBe('*')
})

test('origins and hosts can be allowed', async () => {
  await using own = await startDaemon({
    args: ['-allow-origin', 'https://app.example', '-allow-host', '*.box.example'],
  })
  const ask = async (headers: Record<string, string>) => (await sendWhole(`${own.url}/health`, { headers })).status
  expect(await ask({ origin: 'https://app.example', host: 'a.box.example:49983' })).toBe(204)
  expect(await ask({ origin: 'https://app.example', host: 'evil.example' })).toBe(403)
  expect(await ask({ origin: 'https://app.example:8443' })).toBe(403)
})

const RAW: [string, string][] = [
  ['an absolute target', 'GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ['an absolute target of another scheme', 'GET HTTPS://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n'],
  ['a second Host', 'GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n'],
  ['a second Origin', `GET /health HTTP/1.1\r\nHost: a\r\nOrigin: http://localhost\r\nOrigin: ${EVIL}\r\n\r\n`],
  ['an empty Host', 'GET /health HTTP/1.1\r\nHost:\r\n\r\n'],
  ['an empty Origin', 'GET /health HTTP/1.1\r\nHost: a\r\nOrigin:\r\n\r\n'],
  ['HTTP/1.0', 'GET /health HTTP/1.0\r\nHost: evil.example\r\n\r\n'],
  [
    'a WebSocket',
    `GET /health HTTP/1.1\r\nHost: a\r\nOrigin: ${EVIL}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  ],
]

test.each(RAW)('%s does not get around the check', async (_, request) => {
  using client = await connectRaw(daemon.port)
  client.write(request)
  await expect.poll(() => client.received()).toMatch(/^HTTP\/1\.1 (403|400) /)
  expect(client.received()).not.toContain(' 204 ')
})

test('with a token, and in a microVM, pages of every origin are served as before', async () => {
  await using own = await startDaemon()
  const body = JSON.stringify({ accessToken: 'secret' })
  expect((await sendWhole(`${own.url}/init`, { method: 'POST', body })).status).toBe(204)
  await using micro = await startDaemon({ args: ['-isnotfc=false'] })
  for (const { url } of [own, micro]) {
    const headers = { origin: EVIL, host: 'sandbox.evil.example', 'x-access-token': 'secret' }
    const answer = await sendWhole(`${url}/envs`, { headers })
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([200, '*'])
  }
})
