import { expect, test } from 'vitest'
import { parseTimeout } from '../../src/rpc/deadline.ts'
import { keepaliveInterval } from '../../src/rpc/keepalive.ts'

test.each([
  ['absent', undefined, undefined],
  ['empty', '', undefined],
  ['zero', '0', undefined],
  ['negative', '-5', undefined],
  ['a number', '1500', 1500],
  ['a number with a plus', '+300', 300],
  ['a float', '1500.0', 1500],
  ['a fraction', '0.5', 1],
  ['ten digits', '9999999999', 9_999_999_999],
])('D23 D24 a timeout header that is %s', (_, header, milliseconds) => {
  expect(parseTimeout(header)).toBe(milliseconds)
})

test.each(['12345678901', 'soon', '1e3', '0x10', ' 5', '5s', '+', '+-5', '-'])(
  'D23 a timeout of %j is refused',
  (header) => {
    expect(() => parseTimeout(header)).toThrow(/^parse timeout: /)
  },
)

test.each([
  ['absent', undefined, 90_000],
  ['what SDKs send', '50', 50_000],
  ['garbage', 'often', 90_000],
  ['a fraction', '1.5', 90_000],
])('D20 a keepalive interval that is %s', (_, header, milliseconds) => {
  expect(keepaliveInterval(header)).toBe(milliseconds)
})

test.each([
  ['zero', '0', 90_000],
  ['negative', '-1', 90_000],
  ['more than a day', '9223372036', 86_400_000],
  ['more than 64 bits of nanoseconds', '9223372037', 90_000],
  ['more than any integer', '9'.repeat(400), 90_000],
])('D76 N29 a keepalive interval that is %s', (_, header, milliseconds) => {
  expect(keepaliveInterval(header)).toBe(milliseconds)
})
