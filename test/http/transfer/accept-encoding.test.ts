import { expect, test } from 'vitest'
import { chooseEncoding } from '../../../src/http/transfer/accept-encoding.ts'
import { parseWeightedList } from '../../../src/lib/weighted-list.ts'

const choose = (header: string | undefined, identityOnly = false) => {
  try {
    return chooseEncoding(header, { identityOnly })
  } catch (error) {
    return error
  }
}
const refused = (message: string) => expect.objectContaining({ kind: 'not_acceptable', message })

test.each([
  [undefined, 'identity'],
  ['', 'identity'],
  ['gzip', 'gzip'],
  ['GZip', 'gzip'],
  ['gzip, deflate, br', 'gzip'],
  ['br', 'identity'],
  ['zstd,gzip,br', 'zstd'],
  ['gzip, deflate, br, zstd', 'gzip'],
  ['gzip;q=0.5, ZSTD;q=0.6', 'zstd'],
  ['zstd;q=0, gzip', 'gzip'],
  ['identity, gzip', 'identity'],
  ['gzip, identity', 'gzip'],
  ['gzip;q=0.5, identity', 'identity'],
  ['identity;q=0.5, gzip;q=0.8', 'gzip'],
  ['gzip;q=0', 'identity'],
  ['gzip;q=bad, identity;q=0.9', 'gzip'],
  ['gzip; q=0.1 , br;q=1', 'gzip'],
  ['*', 'identity'],
  ['*;q=0.5, identity;q=0', 'gzip'],
  ['br, *;q=0.1', 'identity'],
  ['gzip, *;q=0', 'gzip'],
  ['*;q=0, identity;q=0.1', 'identity'],
] as const)('B21 %j means %s', (header, expected) => {
  expect(choose(header)).toBe(expected)
})

test.each(['identity;q=0', '*;q=0', 'br, identity;q=0', 'gzip;q=0, *;q=0', 'zstd;q=0, identity;q=0'])(
  'B21 %j leaves nothing',
  (header) => {
    expect(choose(header)).toEqual(
      refused('error parsing Accept-Encoding: no acceptable encoding found, supported: [gzip zstd]'),
    )
  },
)

test('B21 the highest quality wins, ties keep their order', () => {
  expect(choose('gzip;q=0.5, identity;q=0.5')).toBe('gzip')
})

test('B22 a range or a condition takes identity, or nothing', () => {
  expect(choose('gzip', true)).toBe('identity')
  expect(choose('gzip, identity;q=0', true)).toEqual(
    refused('error parsing Accept-Encoding: identity encoding not acceptable for Range or conditional request'),
  )
})

test('of a header with thousands of elements only the first are looked at', () => {
  expect(parseWeightedList('a,'.repeat(60_000)).length).toBeLessThan(3000)
  expect(choose(`gzip,${'a,'.repeat(60_000)}`)).toBe('gzip')
})
