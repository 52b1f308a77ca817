import { expect, test } from 'vitest'
import { createAccessToken } from '../../src/init/access-token.ts'

test('A32 only the very token matches, of whatever length the other text is', () => {
  const token = createAccessToken()
  token.set('sécret')
  expect(token.matches('sécret')).toBe(true)
  for (const wrong of ['', 's', 'secret', 'sécret ', 'sécretsécret', undefined])
    expect(token.matches(wrong)).toBe(false)
})

test('A32 without a token nothing matches', () => {
  const token = createAccessToken()
  expect(token.isSet).toBe(false)
  expect(token.matches('')).toBe(false)
  expect(token.matches(undefined)).toBe(false)
  expect(token.withToken((text) => text)).toBeUndefined()
})

test('A36 an empty token is an error and changes nothing; clearing is another call', () => {
  const token = createAccessToken()
  token.set('one')
  expect(() => token.set('')).toThrow('must not be empty')
  expect(token.matches('one')).toBe(true)
  token.set('two')
  expect(token.matches('one')).toBe(false)
  expect(token.withToken((text) => text)).toBe('two')
  token.clear()
  expect(token.isSet).toBe(false)
  expect(token.matches('two')).toBe(false)
})

test('a token shows in no dump of the object', () => {
  const token = createAccessToken()
  token.set('canary')
  expect(JSON.stringify(token) + String(token)).not.toContain('canary')
})
