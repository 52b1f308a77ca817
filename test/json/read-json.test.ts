import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { readJson } from '../../src/json/read-json.ts'
import { EVERYTHING, type Shape } from '../../src/json/shape.ts'
import { NEVER } from '../../src/lib/never.ts'

const limits = { depth: 32, values: 65_536, text: 6 * 1024 * 1024 }
const read = (text: string | Buffer, shape: Shape = EVERYTHING) =>
  readJson(Buffer.from(text), shape, { limits, signal: NEVER })

test.each([
  'null',
  ' [1, -0.5e+3, true, false, null, "a"] ',
  '{"a":{"b":[{"c":""}]},"":[[]],"__proto__":{"x":1}}',
  '"\\u00e9\\ud83d\\ude00 \\\\ \\" \\/ \\n é 😀"',
  '{"a":1,"a":2}',
  '[[],{},[{}]]',
])('%s is what JSON.parse says', async (text) => {
  expect(JSON.stringify(await read(text))).toBe(JSON.stringify(JSON.parse(text)))
})

test.each([
  '',
  '{',
  '[1,]',
  '{"a":}',
  '{"a" 1}',
  '01',
  '1.',
  'nul',
  '"a',
  '"\n"',
  '"\\x"',
  '"\\u12"',
  '[1]]',
  '{]',
  'truex',
  '{,}',
  '"\\',
])('%j is no JSON', async (text) => {
  await expect(read(text)).rejects.toThrow()
  expect(() => JSON.parse(text)).toThrow()
})

test('long strings survive being read in pieces, with escapes and characters of several bytes at every place', async () => {
  for (let shift = 0; shift < 7; shift++) {
    const value = 'x'.repeat(16_380 + shift) + '\\"é😀\u0001\n'.repeat(9000)
    expect(await read(JSON.stringify([value]))).toEqual([value])
  }
})

test.each(['', '\\', '\\é', '"x'])('a long text without an escape is read as it is, also before %j', async (end) => {
  for (const character of ['x', 'é', '€', '😀']) {
    const value = character.repeat(40_000) + end + character.repeat(40_000)
    expect(await read(JSON.stringify([value, value]))).toEqual([value, value])
  }
})

test('a text beyond the limit is refused before its end', async () => {
  await expect(read(`"${'x'.repeat(limits.text + 50_000)}`)).rejects.toThrow('argument list too long')
})

const nothing: Shape = { member: () => undefined, item: undefined, bytes: false, weight: 1 }

test('what is not wanted is not built, however much it is', async () => {
  expect(await read(`{"x":[${'{"a":[]},'.repeat(90_000)}1]}`, nothing)).toEqual({})
})

test('bytes are decoded as Buffer does it, with line breaks, escapes and URL-safe digits', async () => {
  const shape: Shape = { ...nothing, member: () => ({ ...nothing, bytes: true }) }
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7919) >> 3))
  const texts = [bytes.toString('base64'), bytes.toString('base64url'), bytes.toString('base64').replaceAll('/', '\\/')]
  texts.push(bytes.toString('base64').replace(/.{76}/g, '$&\\r\\n'))
  for (const text of texts) {
    // The shape has one member, which is bytes.
    const { a } = (await read(`{"a":"${text}"}`, shape)) as { a: Uint8Array }
    expect(bytes.equals(a)).toBe(true)
  }
  await expect(read('{"a":"????"}', shape)).rejects.toThrow('base64')
})

test.each([
  ['values', `[${'[],'.repeat(70_000)}1]`],
  ['variables', `{${Array.from({ length: 17_000 }, (_, i) => `"k${i}":1`).join()}}`],
  ['levels', '['.repeat(100) + ']'.repeat(100)],
  ['tokens', `{"x":[${'1,'.repeat(600_000)}1]}`],
])('too many %s are refused', async (what, text) => {
  await expect(read(text, what === 'tokens' ? nothing : EVERYTHING)).rejects.toMatchObject({ kind: 'too_large' })
})

test('others have their turn while a long text is read', async () => {
  let over = false
  let turns = 0
  const others = (async () => {
    while (!over) {
      await setImmediate()
      turns++
    }
  })()
  await read(`{"x":"${'\\n'.repeat(4 * 1024 * 1024)}"}`)
  over = true
  await others
  // Some 100 ms of work in turns of 3 ms.
  expect(turns).toBeGreaterThanOrEqual(5)
})
