import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { EventQueue, type QueueItem } from '../../src/watch/event-queue.ts'

function makeQueue(): EventQueue {
  return new EventQueue(createByteBudget(64 * 1024 * 1024).hold('watch', { connection: undefined, user: 'ann' }))
}

const rescan = (seq: number, cause: number): QueueItem => ({ kind: 'rescan', seq, cause })

test('of any number of comparisons that are asked for two wait, the first in its place', () => {
  const queue = makeQueue()
  for (let number = 0; number < 10_000; number++) queue.push(rescan(1_000 + number, 500 + number))
  expect(queue.length).toBe(1)
  const first = queue.shift()
  expect(first).toEqual(rescan(1_000, 500))
  expect(queue.shift()).toEqual(rescan(10_999, 501))
  expect(queue.shift()).toBeUndefined()
})

test('what follows from an event is not reported completely before the comparisons that it caused were made', () => {
  const queue = makeQueue()
  queue.push(rescan(10, 8))
  queue.push(rescan(30, 3))
  queue.push(rescan(20, 5))
  queue.push({ kind: 'rescan', seq: 25 })
  const first = queue.shift()
  expect(first === undefined ? undefined : queue.floorOf(first)).toBe(3)
  const second = queue.shift()
  expect(second).toEqual(rescan(30, 3))
  expect(second === undefined ? undefined : queue.floorOf(second)).toBe(3)
})

test('one that is asked for while the second waits is not lost', () => {
  const queue = makeQueue()
  queue.push(rescan(1, 1))
  queue.push(rescan(2, 2))
  expect(queue.shift()).toEqual(rescan(1, 1))
  queue.push(rescan(3, 3))
  expect(queue.shift()).toEqual(rescan(2, 2))
  expect(queue.shift()).toEqual(rescan(3, 3))
})

test('the number of the oldest event that waits is found in constant time', () => {
  const queue = makeQueue()
  for (let number = 0; number < 10_000; number++) queue.push(rescan(20_000 + number, number))
  const item = queue.shift()
  const began = performance.now()
  for (let round = 0; round < 100_000; round++) if (item !== undefined) queue.floorOf(item)
  expect(performance.now() - began).toBeLessThan(2_000)
})
