import { expect, test } from 'vitest'
import { afterHealth, NO_RESTARTS, planRestart, type Restarts } from '../../src/supervisor/restarts.ts'
import { PACE } from '../../src/supervisor/timing.ts'

const timing = { ...PACE, readyTimeout: 600_000, attemptTimeout: 180_000, liveInterval: 5_000, liveTimeout: 10_000 }

/** The delays of restarts at these times, in milliseconds, up to the first that is refused. */
function delaysAt(times: readonly number[], random = 0.5): number[] {
  let restarts: Restarts = NO_RESTARTS
  const delays: number[] = []
  for (const now of times) {
    const plan = planRestart(restarts, { now, random }, timing)
    if (plan === undefined) return delays
    delays.push(plan.delay)
    restarts = plan.restarts
  }
  return delays
}

test('waits double from 1 s to 30 s', () => {
  const rare = Array.from({ length: 8 }, (_, i) => i * 1_000_000)
  expect(delaysAt(rare)).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
})

test('waits are up to 10 % longer or shorter', () => {
  expect(delaysAt([0, 1], 0)).toEqual([900, 1800])
  expect(delaysAt([0, 1], 1)).toEqual([1100, 2200])
})

test('the eleventh restart within 5 minutes is refused, a later one is not', () => {
  const ten = Array.from({ length: 10 }, (_, i) => i * 1000)
  expect(delaysAt([...ten, 299_999])).toHaveLength(10)
  expect(delaysAt([...ten, 300_000])).toHaveLength(11)
})

test('after a healthy time the wait begins anew, while the breaker still counts', () => {
  let restarts: Restarts = NO_RESTARTS
  for (let i = 0; i < 10; i++) {
    const plan = planRestart(restarts, { now: i, random: 0.5 }, timing)
    expect(plan?.delay).toBe(1000)
    restarts = afterHealth(plan?.restarts ?? NO_RESTARTS)
  }
  expect(planRestart(restarts, { now: 10, random: 0.5 }, timing)).toBeUndefined()
})
