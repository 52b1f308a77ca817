import { expect, test } from 'vitest'
import { createLineQueue } from '../../src/lib/line-queue.ts'

test('lines come out in order, and the bytes that wait are known', () => {
  const queue = createLineQueue({ bytesOf: (line: string) => Buffer.byteLength(line), maxBytes: 100, maxLineBytes: 50 })
  queue.push('one\n')
  queue.push('zwölf\n')
  expect(queue.bytes).toBe(4 + 7)
  expect([queue.shift(), queue.shift(), queue.shift()]).toEqual(['one\n', 'zwölf\n', undefined])
  expect(queue).toMatchObject({ bytes: 0, size: 0 })
})

test('the oldest lines give way to new ones, and are counted', () => {
  const queue = createLineQueue({ bytesOf: (line: string) => Buffer.byteLength(line), maxBytes: 30, maxLineBytes: 30 })
  for (let index = 0; index < 10; index++) queue.push(`line number ${index}`)
  expect(queue.takeDropped()).toBe(8)
  expect(queue.takeDropped()).toBe(0)
  expect([queue.shift(), queue.shift(), queue.shift()]).toEqual(['line number 8', 'line number 9', undefined])
})

test('a line that is too long is dropped alone', () => {
  const queue = createLineQueue({ bytesOf: (line: string) => Buffer.byteLength(line), maxBytes: 30, maxLineBytes: 10 })
  queue.push('short')
  queue.push('much too long')
  expect(queue).toMatchObject({ size: 1, bytes: 5 })
  expect(queue.takeDropped()).toBe(1)
})

test('ten thousand lines pass through in order, some waiting', () => {
  const queue = createLineQueue({
    bytesOf: (line: string) => Buffer.byteLength(line),
    maxBytes: 1_000_000,
    maxLineBytes: 10,
  })
  const taken: (string | undefined)[] = []
  for (let index = 0; index < 10_000; index++) {
    queue.push(String(index))
    if (index % 3 > 0) taken.push(queue.shift())
  }
  while (queue.size > 0) taken.push(queue.shift())
  expect(taken).toEqual(Array.from({ length: 10_000 }, (_, index) => String(index)))
})
