import { writeSync } from 'node:fs'
import { expect, test } from 'vitest'
import { close, duplicate, openPipe } from '../../src/native/index.ts'
import { sharedMemory } from '../../src/native/packets.ts'
import { KeptOutput } from '../../src/process/kept-output.ts'
import { HEADER_BYTES, MAX_SLABS, SLABS_AT, slotAt } from '../../src/process/output-layout.ts'
import { OutputLog } from '../../src/process/output-log.ts'
import { OutputMemory } from '../../src/process/output-memory.ts'
import { OutputWindow } from '../../src/process/output-window.ts'
import { SLAB_BYTES } from '../../src/process/slab-pool.ts'

const KEY = 7

/** What is found of pieces of standard output that an earlier daemon has left in this order. */
function left(pieces: readonly { readonly offset: number; readonly text: string; readonly forgotten?: boolean }[]) {
  const fd = sharedMemory(SLABS_AT + MAX_SLABS * SLAB_BYTES)
  const earlier = new OutputMemory(duplicate(fd), true)
  expect(earlier.recover(new Set())).toEqual(new Map())
  for (const { offset, text, forgotten } of pieces) {
    const placed = earlier.place(text.length, { key: KEY, stream: 0, offset })
    placed?.bytes.set(Buffer.from(text))
    placed?.commit()
    if (forgotten && placed) placed.slab.memory.writeUInt32LE(0, placed.bytes.byteOffset - HEADER_BYTES)
    earlier.numbers[slotAt(KEY)] = Math.max(earlier.numbers[slotAt(KEY)] ?? 0, offset + text.length)
  }
  const next = new OutputMemory(fd)
  expect(next.known).toBe(true)
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

test('what many daemons have left of a process, each in a slab of its own, takes few of them', () => {
  const fd = sharedMemory(SLABS_AT + MAX_SLABS * SLAB_BYTES)
  const [from, to] = openPipe()
  const share = () => new OutputWindow(32 * 1024 * 1024).share()
  let text = ''
  const found: number[] = []
  for (let daemon = 0; daemon < 20; daemon++) {
    const memory = new OutputMemory(duplicate(fd))
    const left = memory.recover(new Set([KEY])).get(KEY)
    found.push(left?.chunks.length ?? 0)
    const kept = new KeptOutput(memory, KEY, { kept: true, found: left })
    if (daemon === 0) kept.clear()
    const log = new OutputLog({ share: share(), pool: memory.pool, stall: 1, kept })
    expect(String(log.tail(1000))).toBe(text)
    writeSync(to, `${daemon} `)
    text += `${daemon} `
    kept.read(from, 'stdout', memory.pool.withRoom(undefined), 1000)
    memory.close()
  }
  expect(Math.max(...found)).toBeLessThan(6)
  for (const each of [fd, from, to]) close(each)
})
