import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createTurns } from '../../src/lib/turns.ts'

/** A clock that each unit of work moves on by a millisecond. */
function clockwork() {
  let milliseconds = 0
  const done: string[] = []
  const turns = createTurns(() => milliseconds)
  const work = (name: string) => () => {
    milliseconds++
    done.push(name)
  }
  return { turns, done, work }
}

test('work is done at once while there is time, and the rest some at a time in later turns of the event loop', async () => {
  const { turns, done, work } = clockwork()
  for (let number = 0; number < 12; number++) turns.run(turns, work(String(number)))
  const after = [done.length]
  while (turns.waiting > 0) {
    await setImmediate()
    after.push(done.length)
  }
  expect(done).toEqual(Array.from({ length: 12 }, (_, number) => String(number)))
  expect(after[0]).toBe(3)
  const steps = after.slice(1).map((count, at) => count - (after[at] ?? 0))
  for (const step of steps) expect(step).toBeLessThanOrEqual(3)
})

test('owners take turns, however much one of them wants', async () => {
  const { turns, done, work } = clockwork()
  const [greedy, modest] = [{}, {}]
  for (let number = 0; number < 100; number++) turns.run(greedy, work('greedy'))
  turns.run(modest, work('modest'))
  await expect.poll(() => turns.waiting).toBe(0)
  // Three at once, then one of each.
  expect(done.indexOf('modest')).toBe(4)
})

test('what work leads to without a wait counts as part of it', async () => {
  let milliseconds = 0
  const turns = createTurns(() => milliseconds)
  let done = 0
  /** Done by the end of the first turn of the event loop, and of each later one. */
  const after: number[] = []
  const jobs = Array.from({ length: 12 }, async () => {
    const turn = turns.turn({})
    if (turn !== undefined) await turn
    await Promise.resolve()
    await Promise.resolve()
    milliseconds++
    done++
  })
  // The clock stands still until they go on: one begins at once, the others when that has gone on.
  expect(turns.waiting).toBe(11)
  while (done < jobs.length) {
    await setImmediate()
    after.push(done)
  }
  const steps = after.map((count, at) => count - (after[at - 1] ?? 0))
  for (const step of steps) expect(step).toBeLessThanOrEqual(4)
  await Promise.all(jobs)
  const later = Array.from({ length: 12 }, async () => {
    await turns.next({})
    await Promise.resolve()
    await Promise.resolve()
    milliseconds++
    done++
  })
  const before = done
  await setImmediate()
  expect(done - before).toBeLessThanOrEqual(3)
  await Promise.all(later)
})

test('a unit that throws does not hold up the others', async () => {
  const { turns, done, work } = clockwork()
  const caught: unknown[] = []
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.once('uncaughtException', (error) => caught.push(error))
  try {
    for (let number = 0; number < 3; number++) turns.run(turns, work('first'))
    turns.run(turns, () => {
      throw new Error('broken')
    })
    turns.run(turns, work('last'))
    await expect.poll(() => turns.waiting).toBe(0)
    await expect.poll(() => done.at(-1)).toBe('last')
    expect(caught).toHaveLength(1)
  } finally {
    for (const listener of listeners) process.on('uncaughtException', listener)
  }
})

test('a waiter always lets a turn of the event loop pass', async () => {
  const { turns } = clockwork()
  let passed = false
  void setImmediate().then(() => {
    passed = true
  })
  await turns.next({})
  await turns.next({})
  expect(passed).toBe(true)
})

test('work may begin at once while there is time left and nothing waits', async () => {
  const { turns, work } = clockwork()
  expect(turns.free).toBe(true)
  for (let number = 0; number < 3; number++) turns.run(turns, work('now'))
  expect(turns.free).toBe(false)
  turns.run(turns, work('later'))
  await expect.poll(() => turns.waiting).toBe(0)
  await setImmediate()
  await expect.poll(() => turns.free).toBe(true)
})
