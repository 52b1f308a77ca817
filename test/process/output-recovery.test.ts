import { expect, test } from 'vitest'
import { close, duplicate } from '../../src/native/index.ts'
import { sharedMemory } from '../../src/native/packets.ts'
import { HEADER_BYTES, MAX_SLABS, SLABS_AT, slotAt } from '../../src/process/output-layout.ts'
import { OutputMemory } from '../../src/process/output-memory.ts'
import { SLAB_BYTES } from '../../src/process/slab-pool.ts'

const KEY = 7

/** What is found of pieces of standard output that an earlier daemon has left in this order. */
function left(pieces: readonly { readonly offset: number; readonly text: string; readonly forgotten?: boolean }[]) {
  const fd = sharedMemory(SLABS_AT + MAX_SLABS * SLAB_BYTES)
  const earlier = new OutputMemory(duplicate(fd))
  earlier.recover(new Set())
  for (const { offset, text, forgotten } of pieces) {
    const placed = earlier.place(text.length, { key: KEY, stream: 0, offset })
    placed?.bytes.set(Buffer.from(text))
    placed?.commit()
    if (forgotten && placed) placed.slab.memory.writeUInt32LE(0, placed.bytes.byteOffset - HEADER_BYTES)
    earlier.numbers[slotAt(KEY)] = Math.max(earlier.numbers[slotAt(KEY)] ?? 0, offset + text.length)
  }
  const next = new OutputMemory(fd)
  const chunks = next.recover(new Set([KEY])).get(KEY)?.chunks ?? []
  const found = chunks.map(({ offset, bytes }) => [offset, Buffer.from(bytes).toString()])
  earlier.close()
  close(fd)
  return found
}

const PARTS = [
  { offset: 0, text: 'ab' },
  { offset: 2, text: 'cd' },
  { offset: 4, text: 'ef' },
]

test('what an earlier daemon has read is found in its order', () => {
  expect(left(PARTS)).toEqual([
    [0, 'ab'],
    [2, 'cd'],
    [4, 'ef'],
  ])
})

test('of output that was being compacted nothing is missing and nothing comes twice, wherever that ended', () => {
  const whole = { offset: 0, text: 'abcdef' }
  for (let forgotten = 0; forgotten <= PARTS.length; forgotten++) {
    const parts = PARTS.map((part, index) => ({ ...part, forgotten: index < forgotten }))
    expect([forgotten, left([...parts, whole])]).toEqual([forgotten, [[0, 'abcdef']]])
  }
  // Only the beginning was compacted when it ended.
  expect(left([...PARTS, { offset: 0, text: 'abcd' }])).toEqual([
    [0, 'abcd'],
    [4, 'ef'],
  ])
})

test('what lies before a gap is not found', () => {
  expect(
    left([
      { offset: 0, text: 'ab' },
      { offset: 4, text: 'ef' },
    ]),
  ).toEqual([[4, 'ef']])
})
