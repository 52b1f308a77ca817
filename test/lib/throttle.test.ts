import { expect, test } from 'vitest'
import { throttle } from '../../src/lib/throttle.ts'

test('the first call runs at once, those soon after it run once, at the end of the pause', async () => {
  const runs: number[] = []
  const call = throttle(() => runs.push(performance.now()), 100)
  const began = performance.now()
  for (let i = 0; i < 50; i++) call()
  expect(runs).toHaveLength(1)
  await expect.poll(() => runs.length).toBe(2)
  expect(performance.now() - began).toBeGreaterThanOrEqual(99)
  await expect.poll(() => performance.now() - (runs[1] ?? 0)).toBeGreaterThan(250)
  expect(runs).toHaveLength(2)
  call()
  expect(runs).toHaveLength(3)
})
