import { expect, test } from 'vitest'
import { withoutTrailing } from '../../src/lib/without-trailing.ts'

test('only the characters at the end are gone', () => {
  expect(withoutTrailing(' a \t b \t ', ' \t')).toBe(' a \t b')
  expect(withoutTrailing('///', '/')).toBe('')
  expect(withoutTrailing('', '/')).toBe('')
  expect(withoutTrailing('a', '/')).toBe('a')
})
