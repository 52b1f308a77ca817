import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import { checkFileAccess, type SignedRequest } from '../../../src/http/access/signature.ts'
import { createAccessToken } from '../../../src/init/access-token.ts'

const TOKEN = '0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0'
const NOW = 1_800_000_000

function sign(text: string): string {
  return `v1_${createHash('sha256').update(text).digest('base64').replaceAll('=', '')}`
}

function check(request: Partial<SignedRequest>, tokenText = TOKEN): boolean {
  const token = createAccessToken()
  if (tokenText !== '') token.set(tokenText)
  const whole = {
    operation: 'read',
    path: 'hello.txt',
    username: 'user',
    signature: undefined,
    expiration: undefined,
    header: undefined,
    ...request,
  } as const
  return checkFileAccess(token, whole, NOW)
}

const refused = (message: string) => expect.objectContaining({ kind: 'unauthenticated', message })

test('B4 without a token nothing is checked', () => {
  expect(check({}, '')).toBe(false)
  expect(check({ signature: 'v1_bad', header: 'bad' }, '')).toBe(false)
})

test('B5 a header alone decides, unless it is empty', () => {
  const good = sign(`hello.txt:read:user:${TOKEN}`)
  expect(check({ header: TOKEN, signature: 'v1_bad' })).toBe(false)
  expect(() => check({ header: 'bad', signature: good })).toThrow(
    refused('access token present in header but does not match'),
  )
  expect(check({ header: '', signature: good })).toBe(true)
})

test('B12 a colon in the path is signed as it stands', () => {
  expect(check({ path: 'a:read', signature: sign(`a:read:read:user:${TOKEN}`) })).toBe(true)
})

test('B6 neither header nor signature is refused', () => {
  expect(() => check({})).toThrow(refused('missing signature query parameter'))
})

test('B7 the signature of the published clients is accepted', () => {
  expect(check({ signature: 'v1_gUtH/s9YCJWgCizjfUxuWfhFE4QSydOWEIIvfLwDr6E' })).toBe(true)
})

test.each([
  ['a name with colons', { path: 'a:b', signature: sign(`a:b:read:user:${TOKEN}`) }],
  ['no path, no user', { path: '', username: '', signature: sign(`:read::${TOKEN}`) }],
  ['a write', { operation: 'write', signature: sign(`hello.txt:write:user:${TOKEN}`) }],
  ['an expiration', { expiration: BigInt(NOW), signature: sign(`hello.txt:read:user:${TOKEN}:${NOW}`) }],
] as const)('B7 B12 the signature covers %s', (_what, request) => {
  expect(check(request)).toBe(true)
})

test.each([
  ['padding', { signature: `${sign(`hello.txt:read:user:${TOKEN}`)}=` }],
  ['another operation', { operation: 'write', signature: sign(`hello.txt:read:user:${TOKEN}`) }],
  ['another user', { username: 'root', signature: sign(`hello.txt:read:user:${TOKEN}`) }],
  ['an expiration that was not signed', { expiration: BigInt(NOW), signature: sign(`hello.txt:read:user:${TOKEN}`) }],
  ['a signed expiration that is not given', { signature: sign(`hello.txt:read:user:${TOKEN}:${NOW}`) }],
  ['an empty signature', { signature: '' }],
] as const)('B8 %s makes the signature invalid', (_what, request) => {
  expect(() => check(request)).toThrow(refused('invalid signature'))
})

test('B7 B8 what a signature covers may not differ by a character', () => {
  expect(() => check({ signature: sign(`hello.txt:read:user:${TOKEN}x`) })).toThrow(refused('invalid signature'))
})

test('B9 a signature lasts to the end of its last second, and is checked before its age', () => {
  const at = (expiration: number) => ({
    expiration: BigInt(expiration),
    signature: sign(`hello.txt:read:user:${TOKEN}:${expiration}`),
  })
  expect(check(at(NOW))).toBe(true)
  expect(() => check(at(NOW - 1))).toThrow(refused('signature is already expired'))
  expect(() => check(at(0))).toThrow(refused('signature is already expired'))
  expect(() => check({ ...at(NOW - 1), signature: 'v1_bad' })).toThrow(refused('invalid signature'))
})
