import type { FastifyInstance } from 'fastify'
import { expect, test } from 'vitest'
import { AppError } from '../../../src/errors.ts'
import { sendWhole } from '../../_util/http.ts'
import { connectRaw, startFront } from '../front.ts'

const TOKEN = { 'x-access-token': 'secret' }
const UNAUTHORIZED =
  '{"code":401,"message":"unauthorized access, please provide a valid access token or method signing if supported"}\n'
const nobody = { authorization: `Basic ${btoa('no-such-user:')}` }

test('A17 a preflight is answered first, then the token, the username and the route are checked', async () => {
  await using front = await startFront()
  front.token.set('secret')
  const preflight = { origin: 'http://a', 'access-control-request-method': 'GET' }
  const ask = (method: string, headers: Record<string, string>) => sendWhole(`${front.url}/nope`, { method, headers })
  expect((await ask('OPTIONS', { ...preflight, ...nobody })).status).toBe(204)
  expect((await ask('GET', nobody)).text).toBe(UNAUTHORIZED)
  expect((await ask('GET', { ...nobody, ...TOKEN })).text).toContain('invalid username')
  expect((await ask('GET', TOKEN)).status).toBe(404)
})

test('A18 an unknown path is 404 with a text', async () => {
  await using front = await startFront()
  for (const path of ['/', '/nope', '/health/', '/init/', '//health', '/Health', '/health;a=b']) {
    for (const http2 of [false, true]) {
      const answer = await sendWhole(front.url + path, { http2 })
      expect(answer).toMatchObject({
        status: 404,
        text: '404 page not found\n',
        headers: { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' },
      })
    }
  }
})

test('A18 a wrong method is 405 without a body and with one Allow header per method', async () => {
  const both = (app: FastifyInstance) => {
    app.get('/both', () => '')
    app.post('/both', () => '')
  }
  await using front = await startFront({ routes: [both] })
  const wrong = [
    ['POST', '/health'],
    ['HEAD', '/health'],
    ['OPTIONS', '/envs'],
    ['PROPFIND', '/metrics?x=1'],
    ['TRACE', '/metrics'],
  ] as const
  for (const [method, path] of wrong) {
    const answer = await sendWhole(front.url + path, { method })
    expect(answer).toMatchObject({ status: 405, text: '', headers: { allow: 'GET' } })
  }
  expect(await sendWhole(`${front.url}/init`)).toMatchObject({ status: 405, headers: { allow: 'POST' } })
  using client = await connectRaw(front.port)
  client.write('PUT /both HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  expect(await client.closed).toMatch(/^HTTP\/1\.1 405 .*allow: GET\r\nallow: POST\r\n/s)
})

test('A18 a wrong method is 405 on routes with parameters, and for a method that Fastify answers by itself', async () => {
  const some = (app: FastifyInstance) => {
    app.head('/things/:id', (_, reply) => reply.send())
    app.delete('/things/:id', () => '')
    app.get('/page/*', () => '')
  }
  await using front = await startFront({ routes: [some] })
  const allowed = async (method: string, path: string) => {
    using client = await connectRaw(front.port)
    client.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
    const answer = await client.closed
    return [answer.slice(9, 12), ...[...answer.matchAll(/^allow: (.*)\r$/gm)].map((match) => match[1])]
  }
  for (const method of ['PUT', 'GET', 'QUERY'])
    expect(await allowed(method, '/things/x')).toEqual(['405', 'DELETE', 'HEAD'])
  for (const path of ['/page/', '/page/x/y']) expect(await allowed('POST', path)).toEqual(['405', 'GET'])
  for (const path of ['/health', '/health?x']) expect(await allowed('QUERY', path)).toEqual(['405', 'GET'])
  for (const method of ['PUT', 'QUERY'])
    for (const path of ['/things/', '/things/x/y', '/pages', '/nope'])
      expect(await allowed(method, path)).toEqual(['404'])
})

test('A19 another spelling of a path is another path, but is judged by what it means', async () => {
  await using front = await startFront()
  expect((await sendWhole(`${front.url}/%68ealth`)).status).toBe(404)
  front.token.set('secret')
  expect((await sendWhole(`${front.url}/%68ealth`)).status).toBe(404)
  expect((await sendWhole(`${front.url}/env%73`)).status).toBe(401)
  expect((await sendWhole(`${front.url}/health?q=%zz`)).status).toBe(204)
})

test('a malformed path is 400', async () => {
  await using front = await startFront()
  using client = await connectRaw(front.port)
  client.write('GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  expect(await client.closed).toMatch(/^HTTP\/1\.1 400 .*"code":400,/s)
})

test('an AppError is shown with its status; an unexpected error is logged once and shown as internal', async () => {
  const failing = (app: FastifyInstance) => {
    app.get('/full', () => {
      throw new AppError('no_space', 'the disk is "full"')
    })
    app.get('/broken', () => Promise.reject(new TypeError('inner detail')))
  }
  await using front = await startFront({ routes: [failing] })
  expect(await sendWhole(`${front.url}/full`)).toMatchObject({
    status: 507,
    text: '{"code":507,"message":"the disk is \\"full\\""}\n',
    headers: { 'content-type': 'application/json; charset=utf-8', 'x-content-type-options': 'nosniff' },
  })
  expect(front.logged).toEqual([])
  expect(await sendWhole(`${front.url}/broken?secret=1`)).toMatchObject({
    status: 500,
    text: '{"code":500,"message":"internal error"}\n',
  })
  expect(front.logged).toMatchObject([{ level: 'error', method: 'GET', path: '/broken' }])
})

test('A28 a failure in one call harms no other on the connection', async () => {
  const routes = (app: FastifyInstance) => {
    app.get('/broken', () => {
      throw new TypeError('inner detail')
    })
  }
  await using front = await startFront({ routes: [routes] })
  using client = await connectRaw(front.port)
  const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
  client.write(request('/broken') + request('/health'))
  await expect.poll(() => client.received()).toMatch(/^HTTP\/1\.1 500 .*HTTP\/1\.1 204 /s)
})

test('bodies of any content type arrive unread, also malformed types', async () => {
  const echo = (app: FastifyInstance) =>
    void app.post('/echo', async (request, reply) =>
      reply.send(
        await front.bodies.read(request.raw, { limit: 100, memory: front.bodies.memoryFor(request.raw, 'body') }),
      ),
    )
  await using front = await startFront({ routes: [echo] })
  for (const type of ['application/json', 'text/plain', 'multipart/form-data; boundary=x', 'x/y']) {
    const answer = await sendWhole(`${front.url}/echo`, {
      method: 'POST',
      headers: { 'content-type': type },
      body: '{"a',
    })
    expect(answer).toMatchObject({ status: 200, text: '{"a' })
  }
  const large = await sendWhole(`${front.url}/echo`, { method: 'POST', body: 'x'.repeat(101) })
  expect(large).toMatchObject({
    status: 413,
    text: '{"code":413,"message":"message is larger than the limit of 100 bytes"}\n',
  })
})
