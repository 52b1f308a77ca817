import { expect, test } from 'vitest'
import { Headers as HeaderFields } from '../../src/rpc/header-fields.ts'

/** Node's own, which the bundle does without. */
const kinds = [Headers, HeaderFields]

/** What a client of the class can see. */
function seen(headers: Headers) {
  const each: [string, string][] = []
  headers.forEach((value, name) => {
    each.push([name, value])
  })
  const sorted = (pairs: Iterable<[string, string]>) => [...pairs].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return {
    all: sorted(headers),
    each: sorted(each),
    entries: sorted(headers.entries()),
    names: [...headers.keys()].sort(),
    values: [...headers.values()].sort(),
    cookies: headers.getSetCookie(),
  }
}

test('header fields of the library are as those of the web', () => {
  const [web, own] = kinds.map((Kind) => {
    const headers = new Kind({ Accept: ' a\t', 'X-One': '1' })
    headers.append('accept', 'b')
    headers.append('Set-Cookie', 'c=1')
    headers.append('set-cookie', 'd=2')
    headers.append('grpc-message', '\u00e4')
    headers.set('X-ONE', '2')
    headers.append('gone', '1')
    headers.delete('Gone')
    const copy = new Kind(headers)
    copy.set('empty', '')
    return {
      ...seen(copy),
      one: copy.get('x-one'),
      none: copy.get('gone'),
      has: [copy.has('ACCEPT'), copy.has('gone')],
    }
  })
  expect(own).toEqual(web)
})

test.each([
  ['', 'a'],
  ['a b', 'a'],
  ['a:', 'a'],
  ['\u00e4', 'a'],
  ['a', 'b\nc'],
  ['a', 'b\0'],
  ['a', 'b\rc'],
  ['a', '\u0100'],
])('neither class takes the header %j with the value %j', (name, value) => {
  for (const Kind of kinds) {
    expect(() => new Kind().append(name, value)).toThrow(TypeError)
    expect(() => new Kind().set(name, value)).toThrow(TypeError)
    expect(() => new Kind({ [name]: value })).toThrow(TypeError)
  }
})
