import { expect, test } from 'vitest'
import { RecordSplitter } from '../../src/files/records.ts'

const options = { separator: 10, maxBytes: 8, marker: Buffer.from('<m>') }

function split(text: string, size: number) {
  const splitter = new RecordSplitter(options)
  const records: [string, string | undefined][] = []
  for (let at = 0; at < text.length; at += size)
    for (const { bytes, tail } of splitter.push(Buffer.from(text.slice(at, at + size))))
      records.push([bytes.toString(), tail?.toString()])
  return records
}

test('records are whole or cut, with what follows the marker, however they come', () => {
  const text = `short\n\nexactly8\n0123456789<m>tail\n012345<m>x\n0123456<m>y${'z'.repeat(400)}\nno marker here\n`
  const expected = [
    ['short', undefined],
    ['', undefined],
    ['exactly8', undefined],
    ['01234567', 'tail'],
    ['012345<m', 'x'],
    ['0123456<', `y${'z'.repeat(255)}`],
    ['no marke', ''],
  ]
  for (let size = 1; size <= text.length; size++) expect(split(text, size), `chunks of ${size}`).toEqual(expected)
})
