import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { oncePerTurn } from '../../src/lib/once-per-turn.ts'

test('what is asked for again in the same turn of the event loop is made once, and anew in a later one', async () => {
  let made = 0
  const value = oncePerTurn(() => ++made)
  expect([value(), value(), await Promise.resolve().then(value)]).toEqual([1, 1, 1])
  await setImmediate()
  expect([value(), value()]).toEqual([2, 2])
})

test('a failure is not kept', () => {
  let fails = true
  const value = oncePerTurn(() => {
    if (fails) throw new Error('not yet')
    return 'made'
  })
  expect(value).toThrow('not yet')
  fails = false
  expect(value()).toBe('made')
})
