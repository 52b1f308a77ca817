import { expect, test } from 'vitest'
import { parseRange } from '../../../src/http/transfer/range.ts'

const many = `bytes=${Array.from({ length: 201 }, (_, i) => `${i}-${i}`).join(',')}`

test.each([
  [undefined, 10, { kind: 'whole' }],
  ['bytes=0-3', 10, { kind: 'parts', parts: [{ start: 0, length: 4 }] }],
  ['bytes=3-', 10, { kind: 'parts', parts: [{ start: 3, length: 7 }] }],
  ['bytes=-3', 10, { kind: 'parts', parts: [{ start: 7, length: 3 }] }],
  ['bytes=-30', 10, { kind: 'parts', parts: [{ start: 0, length: 10 }] }],
  ['bytes=8-99999', 10, { kind: 'parts', parts: [{ start: 8, length: 2 }] }],
  [
    'bytes= 0-0 , 9-9 ,',
    10,
    {
      kind: 'parts',
      parts: [
        { start: 0, length: 1 },
        { start: 9, length: 1 },
      ],
    },
  ],
  ['bytes=0-0,20-30', 10, { kind: 'parts', parts: [{ start: 0, length: 1 }] }],
  ['bytes=0-9,0-0', 10, { kind: 'whole' }],
  [many, 1000, { kind: 'whole' }],
  ['bytes=10-', 10, { kind: 'beyond' }],
  ['bytes=-0', 10, { kind: 'beyond' }],
  ['bytes=5-', 0, { kind: 'whole' }],
  ['bytes=3-2', 10, { kind: 'malformed' }],
  ['bytes=-', 10, { kind: 'malformed' }],
  ['bytes=a-b', 10, { kind: 'malformed' }],
  ['bytes=--3', 10, { kind: 'malformed' }],
  ['lines=0-3', 10, { kind: 'malformed' }],
  ['bytes=', 10, { kind: 'whole' }],
] as const)('B19 the range %s', (header, size, expected) => {
  expect(parseRange(header, size)).toEqual(expected)
})
