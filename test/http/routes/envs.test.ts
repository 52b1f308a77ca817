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

test('B3 envs need the token once it is set', async () => {
  await using front = await startFront()
  front.token.set('secret')
  expect((await sendWhole(`${front.url}/envs`)).status).toBe(401)
  expect((await sendWhole(`${front.url}/envs`, { headers: { 'x-access-token': 'secret' } })).status).toBe(200)
})
