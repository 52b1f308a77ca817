import { mkdir, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { createErrorHandler } from '../../../src/http/app/error-response.ts'
import { createFastify } from '../../../src/http/app/fastify.ts'
import { consoleRoute } from '../../../src/http/routes/console.ts'
import { commonDaemon } from '../../_util/common-daemon.ts'
import { startDaemon } from '../../_util/daemon.ts'
import { sendWhole } from '../../_util/http.ts'
import { recordingLog } from '../../_util/recording-log.ts'
import { makeTmpDir } from '../../_util/tmp-dir.ts'

const daemon = commonDaemon()

test('the index is served over both versions of HTTP, with a strict policy', async () => {
  for (const http2 of [false, true]) {
    const { status, headers, text } = await sendWhole(`${daemon.url}/console/`, { http2 })
    expect(status).toBe(200)
    expect(text).toContain('<script type="module"')
    expect(text).not.toMatch(/<style|\son\w+=|<script(?![^>]*src=)/)
    expect(headers).toMatchObject({
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-cache',
      'content-security-policy': expect.stringMatching(/^default-src 'none'; script-src 'self'; style-src 'self';/),
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    })
    expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
    expect(headers['content-security-policy']).not.toContain('unsafe')
  }
})

test('the index is not sent again to a browser that has it', async () => {
  const { headers } = await sendWhole(`${daemon.url}/console/`)
  const again = (etag: string) => sendWhole(`${daemon.url}/console/`, { headers: { 'if-none-match': etag } })
  expect(await again(headers['etag'] ?? '')).toMatchObject({ status: 304, text: '' })
  expect((await again('W/"another"')).status).toBe(200)
})

test('scripts come compressed and may be kept for ever', async () => {
  const index = await sendWhole(`${daemon.url}/console/`)
  const script = /src="\.\/(assets\/[^"]+\.js)"/.exec(index.text)?.[1]
  const plain = await sendWhole(`${daemon.url}/console/${script}`)
  const compressed = await sendWhole(`${daemon.url}/console/${script}`, { headers: { 'accept-encoding': 'br, gzip' } })
  for (const { status, headers } of [plain, compressed]) {
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'application/javascript; charset=utf-8',
      'cache-control': 'public, max-age=31536000, immutable',
      'content-security-policy': expect.any(String),
      vary: expect.stringMatching(/accept-encoding/i),
    })
  }
  expect(compressed.headers['content-encoding']).toBe('br')
  expect(brotliDecompressSync(compressed.body).equals(plain.body)).toBe(true)
})

test('HEAD answers as GET without the body, other methods are refused, and other paths are 404', async () => {
  const head = await sendWhole(`${daemon.url}/console/`, { method: 'HEAD' })
  expect(head).toMatchObject({ status: 200, text: '', headers: { 'content-type': 'text/html; charset=utf-8' } })
  expect((await sendWhole(`${daemon.url}/console`)).headers['location']).toBe('console/')
  expect((await sendWhole(`${daemon.url}/console`, { method: 'POST' })).status).toBe(405)
  for (const path of ['nothing', 'assets', 'assets/', '../envd.cjs', '%2e%2e/envd.cjs', '.hidden', 'index.html/x'])
    expect((await sendWhole(`${daemon.url}/console/${path}`)).status, path).toBe(404)
})

test('the page needs no token where one is set, and all else does', async () => {
  await using dir = await makeTmpDir()
  await writeFile(join(dir.path, 'token'), 'secret', { mode: 0o600 })
  await using guarded = await startDaemon({ args: ['-access-token-file', join(dir.path, 'token')] })
  expect((await sendWhole(`${guarded.url}/console/`)).status).toBe(200)
  expect((await sendWhole(`${guarded.url}/console/`, { method: 'POST' })).status).toBe(401)
  expect((await sendWhole(`${guarded.url}/consoles`)).status).toBe(401)
  expect((await sendWhole(`${guarded.url}/envs`)).status).toBe(401)
})

test('pages of other origins and host names that were made to lead here are refused', async () => {
  for (const headers of [{ origin: 'https://evil.example' }, { host: 'evil.example' }])
    expect((await sendWhole(`${daemon.url}/console/`, { headers })).status).toBe(403)
  expect((await sendWhole(`${daemon.url}/console/`, { headers: { origin: daemon.url } })).status).toBe(200)
})

test('with -console off there is none, and the capabilities say so', async () => {
  await using without = await startDaemon({ args: ['-console', 'off'] })
  expect((await sendWhole(`${without.url}/console/`)).status).toBe(404)
  expect((await sendWhole(`${without.url}/console`)).status).toBe(404)
  const features = async (url: string) => JSON.parse((await sendWhole(`${url}/capabilities`)).text).features
  expect(await features(without.url)).toContainEqual({ name: 'console', on: false, reason: '-console is off' })
  expect(await features(daemon.url)).toContainEqual({ name: 'console', on: true, reason: '-console is on' })
})

/** The console of a build with these files, in an app of its own. */
async function withBuild(files: Readonly<Record<string, Buffer>>, use: (url: string, root: string) => Promise<void>) {
  await using dir = await makeTmpDir()
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir.path, name), content)
  const app = createFastify({ forceCloseConnections: true })
  app.setErrorHandler(createErrorHandler(recordingLog().log))
  consoleRoute(app, dir.path)
  try {
    await use(await app.listen({ port: 0, host: '127.0.0.1' }), dir.path)
  } finally {
    await app.close()
  }
}

test('files are read once, however many ask for them at the same time', async () => {
  await withBuild({ 'index.html': Buffer.from('page'), 'a.js': Buffer.from('script') }, async (url, root) => {
    const ask = () => Promise.all(Array.from({ length: 100 }, () => sendWhole(`${url}/console/a.js`)))
    const answers = await ask()
    await rm(join(root, 'a.js'))
    answers.push(...(await ask()))
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`))).toEqual(new Set(['200 script']))
  })
})

test('answers that nobody reads are limited in sum, and what ends makes room', async () => {
  await withBuild({ 'index.html': Buffer.from('page'), 'a.js': Buffer.alloc(4 * 2 ** 20) }, async (url) => {
    const open = () => connect(Number(new URL(url).port), '127.0.0.1').pause()
    const clients = Array.from({ length: 4 }, open)
    for (const client of clients) client.write('GET /console/a.js HTTP/1.1\r\nHost: x\r\n\r\n')
    await expect.poll(async () => (await sendWhole(`${url}/console/a.js`)).status).toBe(503)
    clients[0]?.destroy()
    await expect.poll(async () => (await sendWhole(`${url}/console/a.js`)).status).toBe(200)
    for (const client of clients) client.destroy()
  })
})

test('a build without the page says so, and serves it once it is there', async () => {
  await using dir = await makeTmpDir()
  const root = join(dir.path, 'console')
  const app = createFastify({})
  consoleRoute(app, root)
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  try {
    expect((await sendWhole(`${url}/console/`)).text).toContain('has no console')
    await mkdir(root)
    await writeFile(join(root, 'index.html'), 'page')
    expect((await sendWhole(`${url}/console/`)).text).toBe('page')
  } finally {
    await app.close()
  }
})
