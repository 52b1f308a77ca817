import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createSteps } from '../../src/lib/steps.ts'

test('steps beyond those of one turn wait for later ones, in their order', async () => {
  const steps = createSteps(2)
  const done: number[] = []
  for (let i = 0; i < 7; i++) steps.run(() => done.push(i))
  const seen: number[] = []
  while (seen.at(-1) !== 7) {
    seen.push(done.length)
    await setImmediate()
  }
  expect(seen).toEqual([2, 4, 6, 7])
  expect(done).toEqual([0, 1, 2, 3, 4, 5, 6])
})

test('a step that comes while others wait is behind them', async () => {
  const steps = createSteps(1)
  const done: string[] = []
  await steps.take()
  const waiting = ['a', 'b', 'c'].map((name) => steps.take().then(() => done.push(name)))
  await setImmediate()
  waiting.push(steps.take().then(() => done.push('d')))
  await Promise.all(waiting)
  expect(done).toEqual(['a', 'b', 'c', 'd'])
})
