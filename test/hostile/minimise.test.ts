import { expect, test } from 'vitest'
import { minimise } from './minimise.ts'

const HUNDRED = Array.from({ length: 100 }, (_, at) => at)

test('what is needed for a failure is found among a hundred, in its order', async () => {
  const needed = (...all: number[]) => minimise(HUNDRED, async (items) => all.every((one) => items.includes(one)))
  expect(await needed(99)).toEqual([99])
  expect(await needed(3)).toEqual([3])
  expect(await needed(40, 41)).toEqual([40, 41])
})

test('what does not fail again is not minimised, and many runs come to an end', async () => {
  expect(await minimise(HUNDRED, async () => false)).toBeUndefined()
  let runs = 0
  const all = await minimise(HUNDRED, async (items) => {
    runs++
    return items.length === 100
  })
  expect(all).toEqual(HUNDRED)
  expect(runs).toBeLessThanOrEqual(40)
})
