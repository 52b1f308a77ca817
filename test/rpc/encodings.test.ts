import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { enveloped } from '../_util/rpc.ts'

const daemon = commonDaemon()

/** A tag with a byte that no UTF-8 has. */
const NOT_UTF8 = Buffer.concat([Buffer.from('{"process":{"tag":"'), Buffer.of(0xff), Buffer.from('"}}')])

const post = (method: string, contentType: string, body: Uint8Array | string) =>
  sendWhole(`${daemon.url}/${method}`, { method: 'POST', headers: { 'content-type': contentType }, body })

test('A23 JSON that is not UTF-8 is refused, in unary calls and in streams', async () => {
  expect(await post('process.Process/SendSignal', 'application/json', NOT_UTF8)).toMatchObject({
    status: 400,
    text: expect.stringMatching(/"invalid_argument","message":"unmarshal message: .*utf-8"/),
  })
  const stream = await post('process.Process/Connect', 'application/connect+json', enveloped(NOT_UTF8))
  expect(stream.text).toContain('"code":"invalid_argument"')
})

test('JSON of /init and /files/compose that is not UTF-8 is refused', async () => {
  for (const path of ['init', 'files/compose'])
    expect(await post(path, 'application/json', NOT_UTF8), path).toMatchObject({
      status: 400,
      text: expect.stringMatching(/utf-8/i),
    })
})

test('A22 a charset other than UTF-8 is 415', async () => {
  const types = [
    'application/json; charset=utf-16',
    'application/json;charset="iso-8859-1"',
    'application/json; Charset=x',
  ]
  for (const type of types) expect(await post('process.Process/List', type, '{}'), type).toMatchObject({ status: 415 })
  const stream = await post('process.Process/Connect', 'application/connect+json; charset=utf-16', enveloped(NOT_UTF8))
  expect(stream.status).toBe(415)
  for (const type of ['application/json; charset=utf-8', 'application/json;charset="UTF-8"', 'application/json; x=y'])
    expect(await post('process.Process/List', type, '{}'), type).toMatchObject({ status: 200 })
})

test('A26 a message with unknown flags is refused', async () => {
  const types = ['application/connect+json', 'application/connect+proto']
  for (const flags of [4, 5, 0x80, 0xff])
    for (const type of types) {
      const answer = await post('process.Process/Connect', type, enveloped(Buffer.from('{}'), flags))
      expect(answer.text).toContain(`"message":"the message has unknown flags: ${flags}"`)
    }
  const input = await post('process.Process/StreamInput', 'application/connect+json', enveloped(Buffer.from('{}'), 4))
  expect(input.text).toContain('a frame has unknown flags: 4')
})
