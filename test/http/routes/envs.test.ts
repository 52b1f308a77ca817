import { connect } from 'node:net'
import { expect, test } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { startFront } from '../front.ts'

test('B3 envs are all variables as one sorted JSON object and a newline', async () => {
  await using front = await startFront()
  expect(await sendWhole(`${front.url}/envs`)).toMatchObject({
    status: 200,
    text: '{"E2B_SANDBOX":"false"}\n',
    headers: { 'content-type': 'application/json' },
  })
  front.defaults.env.replaceUser(new Map(Object.entries({ Z: '', a: 'q"\n', 10: 'ten', 9: 'nine', A: 'ü' })))
  const { text } = await sendWhole(`${front.url}/envs`)
  expect(text).toBe('{"10":"ten","9":"nine","A":"ü","E2B_SANDBOX":"false","Z":"","a":"q\\"\\n"}\n')
})

test('an answer with all variables counts as waiting until the client has taken it or is gone', async () => {
  await using front = await startFront()
  front.defaults.env.replaceUser(Array.from({ length: 4000 }, (_, i) => [`V${i}`, 'x'.repeat(1000)]))
  const socket = connect(front.port, '127.0.0.1')
  socket.pause().write('GET /envs HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await expect.poll(() => front.budget.usage().frame).toBeGreaterThan(4_000_000)
  socket.destroy()
  await expect.poll(() => front.budget.usage().frame).toBe(0)
})

test('B3 envs need the token once it is set', async () => {
  await using front = await startFront()
  front.token.set('secret')
  expect((await sendWhole(`${front.url}/envs`)).status).toBe(401)
  expect((await sendWhole(`${front.url}/envs`, { headers: { 'x-access-token': 'secret' } })).status).toBe(200)
})
