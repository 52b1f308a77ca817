import { expect, test } from 'vitest'
import { parseInitRequest } from '../../src/init/request.ts'
import { NEVER } from '../../src/lib/never.ts'

/** Small bodies are parsed in another way than large ones. */
const FILLERS = { small: '', large: 'x'.repeat(20_000) }

const parse = (body: string) => parseInitRequest(Buffer.from(body), NEVER)

test.each(Object.entries(FILLERS))('F4 a token that is written with escapes is refused in a %s body', async (_, x) => {
  const refused = { kind: 'invalid_argument', message: 'accessToken must not be empty or contain a backslash' }
  const bodies = [
    String.raw`{"x":"${x}","accessToken":"a\u0062c"}`,
    String.raw`{"ACCESSTOKEN":"a\\bc","x":"${x}"}`,
    String.raw`{"x":["${x}","a\"bc"],"accessToken":"a\"bc"}`,
    `{"x":"${x}","accessToken":""}`,
  ]
  for (const body of bodies) await expect(parse(body)).rejects.toMatchObject(refused)
})

test.each(Object.entries(FILLERS))('F4 escapes elsewhere in a %s body are none of the token', async (_, x) => {
  const body = String.raw`{"x":"${x}\n","caBundle":"a\n","y":{"accessToken":"a\u0062c"},"accessToken":"token"}`
  expect(await parse(body)).toMatchObject({ accessToken: 'token', caBundle: 'a\n' })
})
