import { afterEach, expect, test, vi } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { createUnreadFrames } from '../../src/budget/unread-frames.ts'

const KIB = 1024

afterEach(() => void vi.useRealTimers())

test('a frame that waits in many streams counts once, until the last of them has sent it', () => {
  const budget = createByteBudget(1024 * KIB)
  const unread = createUnreadFrames(budget)
  const cost = { evict: () => {}, bytes: 8 * KIB }
  const streams = Array.from({ length: 10 }, () => unread.open({ connection: {}, user: 'a' }, cost))
  const idle = budget.usage().frame
  const frame = Buffer.alloc(64 * KIB)
  for (const stream of streams) stream.add(frame)
  expect(budget.usage().frame - idle).toBeLessThan(65 * KIB)
  const [first, ...others] = streams
  first?.release()
  for (const stream of others) {
    expect(budget.usage().frame).toBeGreaterThan(64 * KIB)
    stream.taken(frame)
  }
  for (const stream of others) stream.release()
  expect(budget.usage().frame).toBe(0)
})

test('when the memory is spent the stream goes whose client has taken nothing for longest, and none that has just begun to wait', () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const budget = createByteBudget(1024 * KIB)
  const unread = createUnreadFrames(budget)
  const evicted = vi.fn<(name: string) => void>()
  const open = (name: string) =>
    unread.open({ connection: {}, user: undefined }, { evict: () => evicted(name), bytes: 8 * KIB })
  const [first, reading] = [open('first'), open('reading')]
  first.add(Buffer.alloc(200 * KIB))
  const taken = Buffer.alloc(100 * KIB)
  reading.add(taken)
  reading.add(Buffer.alloc(100 * KIB))
  const fresh = open('fresh')
  expect(() => fresh.add(Buffer.alloc(400 * KIB))).toThrow(/spent/)
  expect(evicted).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1100)
  reading.taken(taken)
  fresh.add(Buffer.alloc(400 * KIB))
  expect(evicted.mock.calls).toEqual([['first']])
  for (const stream of [first, reading, fresh]) stream.release()
  expect(budget.usage().frame).toBe(0)
})

test('streams that have nothing to read count as well', () => {
  const unread = createUnreadFrames(createByteBudget(1024 * KIB))
  const open = () => unread.open({ connection: {}, user: 'a' }, { evict: () => {} })
  expect(() => {
    for (let count = 0; count < 100; count++) open()
  }).toThrow(/spent/)
})
