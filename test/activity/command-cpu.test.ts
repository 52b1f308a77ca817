import { expect, test } from 'vitest'
import { createCommandCpu } from '../../src/activity/command-cpu.ts'

/** A machine whose figures the test sets. */
function machine() {
  const state = { reads: 0, sessions: new Set([7, 8]), times: new Map([[7, 1]]), own: 0 }
  const cpu = createCommandCpu({
    sessions: () => state.sessions,
    ownSeconds: () => state.own,
    sessionTimes: async () => {
      state.reads++
      return new Map(state.times)
    },
  })
  return { state, cpu }
}

test('sessions are read only when the machine has used CPU time that is not the daemon’s own, and while commands run', async () => {
  const { state, cpu } = machine()
  await cpu.observe(0)
  expect(state.reads).toBe(1)
  for (let round = 0; round < 100; round++) await cpu.observe(0)
  expect(state.reads).toBe(1)
  state.own = 500
  await cpu.observe(500)
  expect(state.reads).toBe(1)
  state.sessions = new Set()
  await cpu.observe(1000)
  expect(state.reads).toBe(1)
  state.sessions = new Set([7])
  let tries = 0
  await expect.poll(() => cpu.observe(2000 * ++tries).then(() => state.reads)).toBe(2)
})

test('a session is busy by what it has used since the last look, a new one by all it has used', async () => {
  const { state, cpu } = machine()
  // More at each look: what falls into the pause after a reading is not there a second time.
  let seconds = 0
  const observe = () => {
    seconds += 1000
    return cpu.observe(seconds)
  }
  await cpu.observe(0)
  expect([cpu.lastBusy(7), cpu.last]).toEqual([undefined, undefined])
  state.times = new Map([
    [7, 1],
    [8, 100],
  ])
  await expect.poll(() => observe().then(() => state.reads)).toBeGreaterThan(1)
  expect(cpu.lastBusy(7)).toBeUndefined()
  expect(cpu.lastBusy(8)).toBe(cpu.last)
  state.times.set(7, 100)
  await expect.poll(() => observe().then(() => cpu.lastBusy(7))).toBeDefined()
})
