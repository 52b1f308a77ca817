import { expect, test } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { connectRaw, startFront } from '../front.ts'

const REFUSAL =
  '{"code":401,"message":"unauthorized access, please provide a valid access token or method signing if supported"}\n'

const routes = [
  ['GET', '/health', false],
  ['GET', '/files', false],
  ['POST', '/files', false],
  ['POST', '/init', false],
  ['HEAD', '/health', true],
  ['POST', '/health', true],
  ['HEAD', '/files', true],
  ['PUT', '/files', true],
  ['OPTIONS', '/files', true],
  ['GET', '/init', true],
  ['POST', '/files/compose', true],
  ['GET', '/metrics', true],
  ['GET', '/envs', true],
  ['POST', '/freeze', true],
  ['POST', '/upgrade', true],
  ['POST', '/process.Process/List', true],
  ['POST', '/filesystem.Filesystem/Stat', true],
  ['GET', '/nope', true],
  ['GET', '/health/', true],
] as const

test.each(routes)('A33 A34 %s %s needs the token: %s', async (method, path, needed) => {
  await using front = await startFront()
  front.token.set('secret')
  const ask = (headers: Record<string, string>) => sendWhole(front.url + path, { method, headers })
  for (const headers of [
    {},
    { 'x-access-token': 'wrong' },
    { 'x-access-token': '' },
    { authorization: 'Bearer secret' },
  ]) {
    const answer = await ask(headers)
    if (!needed) {
      expect(answer.text).not.toBe(REFUSAL)
      continue
    }
    expect(answer).toMatchObject({
      status: 401,
      text: method === 'HEAD' ? '' : REFUSAL,
      headers: { 'content-type': 'application/json; charset=utf-8', 'x-content-type-options': 'nosniff' },
    })
  }
  expect((await ask({ 'x-access-token': 'secret' })).text).not.toBe(REFUSAL)
})

test('A32 without a token everything is open', async () => {
  await using front = await startFront()
  expect((await sendWhole(`${front.url}/envs`)).status).toBe(200)
  expect((await sendWhole(`${front.url}/envs`, { headers: { 'x-access-token': 'any' } })).status).toBe(200)
})

test('A33 the refusal is the same over HTTP/2 and for a stream', async () => {
  await using front = await startFront()
  front.token.set('secret')
  const headers = { 'content-type': 'application/connect+json' }
  for (const http2 of [false, true]) {
    const answer = await sendWhole(`${front.url}/process.Process/Start`, { method: 'POST', headers, http2 })
    expect(answer).toMatchObject({ status: 401, text: REFUSAL })
  }
})

test('A33 the same token twice is the token, two different ones are none', async () => {
  await using front = await startFront()
  front.token.set('secret')
  const ask = async (...tokens: readonly string[]) => {
    using client = await connectRaw(front.port)
    const headers = tokens.map((token) => `X-Access-Token: ${token}\r\n`).join('')
    client.write(`GET /envs HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${headers}\r\n`)
    return (await client.closed).slice(0, 'HTTP/1.1 200'.length)
  }
  expect(await ask('secret', 'secret')).toBe('HTTP/1.1 200')
  expect(await ask('secret', 'secret', 'secret')).toBe('HTTP/1.1 200')
  for (const tokens of [
    ['secret', 'other'],
    ['other', 'secret'],
    ['secret, secret'],
    ['secret', ''],
    ['other', 'other'],
  ])
    expect(await ask(...tokens), tokens.join()).toBe('HTTP/1.1 401')
})
