import { expect, test } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { startFront } from '../front.ts'

const CORS = [
  'access-control-allow-origin',
  'access-control-allow-methods',
  'access-control-allow-headers',
  'access-control-max-age',
  'access-control-expose-headers',
  'vary',
]

function corsOf(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => CORS.includes(name)))
}

test.each(['HEAD', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])(
  'A29 a preflight for %s is answered without a token',
  async (method) => {
    await using front = await startFront()
    front.token.set('secret')
    const headers = {
      origin: 'https://app.example',
      'access-control-request-method': method,
      'access-control-request-headers': 'content-type,x-access-token, connect-protocol-version',
    }
    for (const path of ['/health', '/process.Process/Start', '/nope']) {
      const answer = await sendWhole(front.url + path, { method: 'OPTIONS', headers })
      expect(answer).toMatchObject({ status: 204, text: '' })
      expect(corsOf(answer.headers)).toEqual({
        'access-control-allow-origin': '*',
        'access-control-allow-methods': method,
        'access-control-allow-headers': 'content-type,x-access-token, connect-protocol-version',
        'access-control-max-age': '7200',
        vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
      })
    }
  },
)

test('A29 a preflight for another method, or without an origin, allows nothing', async () => {
  await using front = await startFront()
  const vary = 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'
  const method = 'OPTIONS'
  const trace = { origin: 'http://a', 'access-control-request-method': 'TRACE' }
  for (const headers of [trace, { 'access-control-request-method': 'GET' }]) {
    const answer = await sendWhole(`${front.url}/health`, { method, headers })
    expect(answer.status).toBe(204)
    expect(corsOf(answer.headers)).toEqual({ vary })
  }
})

test('A30 A31 an actual request is open to every origin, with the exposed headers, also when it fails', async () => {
  await using front = await startFront()
  for (const http2 of [false, true]) {
    for (const path of ['/envs', '/health', '/nope']) {
      const answer = await sendWhole(front.url + path, { headers: { origin: 'https://app.example' }, http2 })
      expect(corsOf(answer.headers)).toEqual({
        'access-control-allow-origin': '*',
        'access-control-expose-headers':
          'Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin, Location, Cache-Control, X-Content-Type-Options, ETag, Idempotency-Replayed',
        vary: 'Origin',
      })
    }
  }
})

test('A30 without an origin there is only Vary', async () => {
  await using front = await startFront()
  expect(corsOf((await sendWhole(`${front.url}/health`)).headers)).toEqual({ vary: 'Origin' })
})

test('A30 OPTIONS without a requested method is an ordinary request', async () => {
  await using front = await startFront()
  const options = { method: 'OPTIONS', headers: { origin: 'http://a' } }
  expect((await sendWhole(`${front.url}/health`, options)).status).toBe(405)
  front.token.set('secret')
  expect((await sendWhole(`${front.url}/health`, options)).status).toBe(401)
})
