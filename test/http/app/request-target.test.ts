import type { FastifyInstance } from 'fastify'
import { expect, test } from 'vitest'
import { readTarget } from '../../../src/http/app/request-target.ts'
import { connectRaw, startFront } from '../front.ts'

test.each([
  ['GET', '/a?b=c', '/a?b=c', undefined],
  ['GET', '/', '/', undefined],
  ['GET', '//a//b/../c;d', '//a//b/../c;d', undefined],
  ['GET', '/a?b=http://x/', '/a?b=http://x/', undefined],
  ['GET', 'http://h:1/a?b', '/a?b', 'h:1'],
  ['GET', 'HTTP://[::1]:1/a', '/a', '[::1]:1'],
  ['GET', 'https://h//a', '//a', 'h'],
  ['GET', 'http://h', '/', 'h'],
  ['GET', 'http://h?b', '/?b', 'h'],
  ['OPTIONS', '*', '*', undefined],
  ['OPTIONS', 'http://h', '*', 'h'],
  ['OPTIONS', 'http://h/', '/', 'h'],
  ['GET', '*', '', undefined],
  ['GET', '', '', undefined],
  ['GET', 'a', '', undefined],
  ['GET', '?a', '', undefined],
  ['GET', 'h:80', '', undefined],
  ['GET', 'ftp://h/a', '', undefined],
  ['GET', 'http:///a', '', undefined],
  ['GET', 'http:/a', '', undefined],
  ['GET', 'http://user@h/a', '', undefined],
  ['GET', '/a#b', '', undefined],
  ['GET', '/a?b#c', '', undefined],
  ['GET', 'http://h#/a', '', undefined],
] as const)('the target of %s %j is %j of host %j', (method, sent, target, authority) => {
  expect(readTarget(method, sent)).toEqual({ target, authority })
})

async function ask(port: number, line: string): Promise<string> {
  using client = await connectRaw(port)
  client.write(`${line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
  return await client.closed
}

test('A34 an absolute target is the same request as its path, for the token as for the route', async () => {
  await using front = await startFront()
  front.token.set('secret')
  expect(await ask(front.port, 'GET http://elsewhere:1/health')).toMatch(/^HTTP\/1\.1 204 /)
  expect(await ask(front.port, 'GET HTTPS://elsewhere/health?x=/envs')).toMatch(/^HTTP\/1\.1 204 /)
  expect(await ask(front.port, 'POST http://elsewhere:1/init')).not.toMatch(/^HTTP\/1\.1 401 .*method signing/s)
  expect(await ask(front.port, 'GET http://elsewhere:1/envs')).toMatch(/^HTTP\/1\.1 401 /)
  expect(await ask(front.port, 'GET http://elsewhere:1/envs?/health')).toMatch(/^HTTP\/1\.1 401 /)
})

test('a handler sees the path and the host of an absolute target', async () => {
  const seen: unknown[] = []
  const route = (app: FastifyInstance) => {
    app.get('/seen', (request) => {
      seen.push([request.url, request.raw.url, request.headers.host])
      return ''
    })
  }
  await using front = await startFront({ routes: [route] })
  expect(await ask(front.port, 'GET http://elsewhere:1/seen?x=1')).toMatch(/^HTTP\/1\.1 200 /)
  expect(seen).toEqual([['/seen?x=1', '/seen?x=1', 'elsewhere:1']])
})

test('a target with a fragment, of another scheme or of no form at all is 400', async () => {
  await using front = await startFront()
  for (const target of ['/health#x', '/envs?a#b', 'http://h/health#x', 'ftp://h/health', 'http://a@h/health', '*'])
    expect(await ask(front.port, `GET ${target}`), target).toMatch(/^HTTP\/1\.1 400 .*"code":400/s)
})

test('OPTIONS * asks for the server as a whole and is 200 without a body', async () => {
  await using front = await startFront()
  for (const target of ['*', 'http://elsewhere:1'])
    expect(await ask(front.port, `OPTIONS ${target}`)).toMatch(/^HTTP\/1\.1 200 .*content-length: 0\r\n.*\r\n\r\n$/s)
  front.token.set('secret')
  expect(await ask(front.port, 'OPTIONS *')).toMatch(/^HTTP\/1\.1 401 /)
})
