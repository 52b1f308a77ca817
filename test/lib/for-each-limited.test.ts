import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { forEachLimited } from '../../src/lib/for-each-limited.ts'

test('every item is done, in order of beginning, no more at once than allowed', async () => {
  const begun: number[] = []
  let running = 0
  let most = 0
  await forEachLimited([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
    begun.push(item)
    running += 1
    most = Math.max(most, running)
    for (let turn = 0; turn < 8 - item; turn++) await setImmediate()
    running -= 1
  })
  expect(begun).toEqual([1, 2, 3, 4, 5, 6, 7])
  expect({ running, most }).toEqual({ running: 0, most: 3 })
})

test('the first failure is reported, and nothing more is begun', async () => {
  const begun: number[] = []
  const work = forEachLimited([1, 2, 3, 4, 5, 6], 2, async (item) => {
    begun.push(item)
    await setImmediate()
    if (item === 2) throw new Error('two')
  })
  await expect(work).rejects.toThrow('two')
  await setImmediate()
  await setImmediate()
  expect(begun.length).toBeLessThanOrEqual(3)
})

test('what is under way has ended when the first failure is reported', async () => {
  let ended = 0
  const work = forEachLimited([1, 2, 3], 3, async (item) => {
    for (let turn = 0; turn < item; turn++) await setImmediate()
    ended++
    throw new Error(`${item}`)
  })
  await expect(work).rejects.toThrow('1')
  expect(ended).toBe(3)
})

test('nothing to do is done at once', async () => {
  await forEachLimited([], 4, () => Promise.reject(new Error('nothing to do')))
})
