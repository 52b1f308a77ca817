import { expect, test } from 'vitest'
import { createLossReport } from '../../src/logs/loss-report.ts'

const INTERVAL_MS = 50
const failure = { failed: 1, dropped: 0, problem: 'status 500' }

test('G30 the first loss is reported at once, and those of an interval together after it', async () => {
  const reported: string[] = []
  const losses = createLossReport({ writeStderr: (text) => void reported.push(text), intervalMs: INTERVAL_MS })
  losses.add({ failed: 0, dropped: 0, problem: undefined })
  expect(reported).toEqual([])
  for (let count = 0; count < 4; count++) losses.add(failure)
  losses.add({ failed: 0, dropped: 7, problem: undefined })
  const again = () => {
    losses.add({ failed: 0, dropped: 0, problem: 'status 500' })
    return reported.length
  }
  await expect.poll(again).toBe(2)
  expect(reported[0]).toBe('log export: 1 lines failed, 0 dropped: status 500')
  const numbers = reported.map((text) => text.match(/\d+/g)?.slice(0, 2).map(Number) ?? [])
  const sums = numbers.reduce(([failed = 0, dropped = 0], [f = 0, d = 0]) => [failed + f, dropped + d], [0, 0])
  expect(sums).toEqual([4, 7])
})

test('G30 there is at most one complaint in an interval', () => {
  const reported: string[] = []
  const losses = createLossReport({ writeStderr: (text) => void reported.push(text) })
  for (let count = 0; count < 1000; count++) losses.add(failure)
  expect(reported).toEqual(['log export: 1 lines failed, 0 dropped: status 500'])
})
