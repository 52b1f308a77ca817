import { expect, test } from 'vitest'
import { basicUsername } from '../../../src/http/access/basic-user.ts'
import { sendWhole } from '../../_util/http.ts'
import { enveloped } from '../../_util/rpc.ts'
import { startFront } from '../front.ts'

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

test.each([
  [basic('user:'), 'user'],
  [basic('user:password:more'), 'user'],
  [`bAsIC ${btoa('user:')}`, 'user'],
  [basic(':'), ''],
  [basic(':password'), ''],
  [basic('usér:'), 'usér'],
  [undefined, undefined],
  ['', undefined],
  ['Basic', undefined],
  ['Basic ', undefined],
  ['Basic !!!!', undefined],
  ['Basic dXNlcjo', undefined],
  [basic('no colon'), undefined],
  ['Bearer dXNlcjo=', undefined],
  ['dXNlcjo=', undefined],
])('A38 the authorization %j names the user %j', (authorization, name) => {
  expect(basicUsername(authorization)).toBe(name)
})

test('A38 a known user passes, whatever the password; other schemes mean nothing', async () => {
  await using front = await startFront()
  for (const authorization of [basic('root:'), basic('root:x'), 'Bearer x', 'Basic ???', 'Negotiate']) {
    expect((await sendWhole(`${front.url}/health`, { headers: { authorization } })).status).toBe(204)
  }
})

test.each([
  ['GET', '/health'],
  ['POST', '/init'],
  ['GET', '/files'],
  ['GET', '/nope'],
  ['POST', '/process.Process/List'],
])('A39 %s %s refuses an unknown username, also the empty one', async (method, path) => {
  await using front = await startFront()
  for (const name of ["o'x", '']) {
    for (const type of ['application/json', 'application/proto', undefined]) {
      const headers = { authorization: basic(`${name}:`), ...(type && { 'content-type': type }) }
      const answer = await sendWhole(front.url + path, { method, headers })
      expect(answer).toMatchObject({
        status: 401,
        text: `{"code":"unauthenticated","message":"invalid username: '${name}'"}`,
        headers: { 'content-type': 'application/json' },
      })
    }
  }
  expect(front.initialization.initialized).toBe(false)
})

test('A39 a stream gets the refusal in its last frame', async () => {
  await using front = await startFront()
  for (const type of ['application/connect+json', 'application/connect+proto']) {
    for (const http2 of [false, true]) {
      const headers = { authorization: basic('x:'), 'content-type': type }
      const answer = await sendWhole(`${front.url}/process.Process/Start`, { method: 'POST', headers, http2 })
      expect(answer).toMatchObject({ status: 200, headers: { 'content-type': type } })
      const message = `{"error":{"code":"unauthenticated","message":"invalid username: 'x'"}}`
      expect(answer.body).toEqual(enveloped(Buffer.from(message), 2))
    }
  }
})

test('A39 a gRPC client gets the refusal as a status', async () => {
  await using front = await startFront()
  for (const type of ['application/grpc', 'application/grpc+proto', 'application/grpc-web+proto']) {
    const headers = { authorization: basic('ü:'), 'content-type': type }
    const answer = await sendWhole(`${front.url}/process.Process/List`, { method: 'POST', headers, http2: true })
    expect(answer).toMatchObject({
      status: 200,
      headers: { 'content-type': type, 'grpc-status': '16', 'grpc-message': "invalid%20username%3A%20'%C3%BC'" },
    })
  }
})
