import { expect, test } from 'vitest'
import { every, nextTick } from '../../src/metrics/schedule.ts'

const ticks = [
  { last: 0, elapsed: 0, next: 1, why: 'at the start' },
  { last: 1, elapsed: 2000, next: 2, why: 'on time' },
  { last: 1, elapsed: 1999.4, next: 2, why: 'a timer that fires early does not fire twice' },
  { last: 1, elapsed: 3999, next: 2, why: 'a late tick does not move the next' },
  { last: 1, elapsed: 4001, next: 3, why: 'a tick that was missed is left out' },
  {
    last: 3,
    elapsed: 61_000,
    next: 31,
    why: 'after a process that stood still there is one tick, not one for each missed',
  },
]

test.each(ticks)('after $elapsed ms and tick $last comes tick $next: $why', ({ last, elapsed, next }) => {
  expect(nextTick(2000, last, elapsed)).toBe(next)
})

test('a schedule calls until it is ended', async () => {
  let calls = 0
  const end = every(5, () => calls++)
  await expect.poll(() => calls).toBeGreaterThan(2)
  end()
  const then = calls
  let later = 0
  const endOther = every(5, () => later++)
  await expect.poll(() => later).toBeGreaterThan(2)
  endOther()
  expect(calls).toBe(then)
})
