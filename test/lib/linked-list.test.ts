import { expect, test } from 'vitest'
import { LinkedList } from '../../src/lib/linked-list.ts'
import { createLock } from '../../src/lib/lock.ts'
import { Watermark } from '../../src/watch/watermark.ts'
import { growth, LINEAR_FACTOR } from '../_util/growth.ts'

function valuesOf(list: LinkedList<number>): number[] {
  return Array.from({ length: list.size }, () => list.shift() ?? Number.NaN)
}

test('values stay in order, whichever are taken out', () => {
  const list = new LinkedList<number>()
  const places = Array.from({ length: 6 }, (_, index) => list.push(index))
  for (const index of [0, 3, 5]) expect(list.delete(places[index] ?? list.push(-1))).toBe(true)
  expect(list.delete(places[3] ?? list.push(-1))).toBe(false)
  expect([list.first, list.last, list.size]).toEqual([1, 4, 3])
  list.push(7)
  expect(valuesOf(list)).toEqual([1, 2, 4, 7])
  expect([list.first, list.last, list.size, list.shift()]).toEqual([undefined, undefined, 0, undefined])
})

test('ten times as many who wait for a lock get it in about ten times the time', { timeout: 30_000 }, async () => {
  const factor = await growth({ small: 10_000, large: 100_000 }, async (count) => {
    const lock = createLock()
    // Each with a signal of its own: a signal looks through its listeners when one is added.
    // A signal each: to add a listener to one walks over all that it has.
    const acquire = () => lock.acquire(new AbortController().signal)
    const first = await acquire()
    const others = Array.from({ length: count }, async () => (await acquire())())
    first()
    await Promise.all(others)
  })
  expect(factor).toBeLessThan(LINEAR_FACTOR)
})

test('ten times as many who wait for a count that grows by one are let go in about ten times the time', async () => {
  const factor = await growth({ small: 20_000, large: 200_000 }, async (count) => {
    const milestones = new Watermark()
    const waiting = Array.from({ length: count }, (_, index) => milestones.wait(index))
    for (let reached = 0; reached < count; reached++) milestones.reached(reached)
    await Promise.all(waiting)
  })
  expect(factor).toBeLessThan(LINEAR_FACTOR)
})
