import { expect, test } from 'vitest'
import { TarReader } from '../../src/archives/tar-reader.ts'
import { entryBytes, recordOf } from './make-tar.ts'

const DIGITS = Buffer.alloc(512, '1')
const FIRST = Buffer.concat([Buffer.from('5\n'), DIGITS.subarray(2)])
const MIB = 1024 * 1024

/** How many of these chunks a reader takes before it refuses, at most `most`. */
function taken(first: Buffer, next: (index: number) => Buffer, most: number): number {
  const reader = new TarReader()
  Array.from(reader.push(first))
  for (let index = 0; index < most; index++) {
    try {
      Array.from(reader.push(next(index)))
    } catch (error) {
      expect(error).toMatchObject({ kind: 'invalid_argument' })
      return index
    }
  }
  return most
}

test('a list of pieces that never ends a line is refused, however large its file claims to be', () => {
  const pax = { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.realsize': '1' }
  const size = Buffer.from('77777777777\0')
  const header = entryBytes({ name: 'holes', size, pax })
  const blocks = taken(header, (index) => (index === 0 ? FIRST : DIGITS), 16_384)
  expect(blocks).toBeGreaterThan(1)
  expect(blocks).toBeLessThan((3 * MIB) / DIGITS.length)
})

for (const type of ['g', 'x']) {
  test(`records of headers of type ${type} that follow each other are refused beyond 1 MiB in sum`, () => {
    const value = Buffer.alloc(MIB / 4, 'v')
    const header = (index: number) =>
      entryBytes({ name: 'h', type, content: recordOf(`SCHILY.xattr.user.e2b.k${index}`, value) })
    expect(taken(Buffer.alloc(0), header, 100)).toBe(3)
  })
}
