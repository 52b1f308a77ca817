import { expect, onTestFinished, test, vi } from 'vitest'
import { createOomWitness } from '../../src/process/oom-witness.ts'

const NO_LOG = { newest: () => -1, wasKilled: async () => undefined }

/** A witness with a counter that the test sets, and what its log was asked. */
function witnessOf(answer: boolean | undefined) {
  const counter: { value: number | undefined } = { value: 5 }
  const asked: (readonly number[])[] = []
  const log = {
    newest: () => 41,
    wasKilled: async (pid: number, after: number) => {
      asked.push([pid, after])
      return answer
    },
  }
  const witness = createOomWitness({ count: async () => counter.value }, log)
  onTestFinished(witness.close)
  return { counter, asked, witness }
}

test('without a new kill in the counter the log is not waited for', async () => {
  const { asked, witness } = witnessOf(true)
  const inquiry = witness.begin()
  expect(await inquiry.wasOutOfMemory(7, 'killed')).toBe(false)
  expect(asked).toEqual([])
})

test.each([true, false])('with one the log says whether it was this process: %s', async (answer) => {
  const { counter, asked, witness } = witnessOf(answer)
  const inquiry = witness.begin()
  await inquiry.wasOutOfMemory(7, 'killed')
  counter.value = 6
  expect(await inquiry.wasOutOfMemory(7, 'killed')).toBe(answer)
  expect(asked).toEqual([[7, 41]])
})

test('without a log, or for a child, the counter is enough', async () => {
  const { counter, asked, witness } = witnessOf(false)
  const inquiry = witness.begin()
  await inquiry.wasOutOfMemory(7, 'killed')
  counter.value = 6
  expect(await inquiry.wasOutOfMemory(7, 'child killed')).toBe(true)
  expect(asked).toEqual([])
  let count = 1
  const blind = createOomWitness({ count: async () => count }, NO_LOG)
  onTestFinished(blind.close)
  const other = blind.begin()
  expect(await other.wasOutOfMemory(7, 'killed')).toBe(false)
  count = 2
  expect(await other.wasOutOfMemory(7, 'killed')).toBe(true)
})

test('where nothing counts nothing is claimed', async () => {
  const { counter, witness } = witnessOf(true)
  counter.value = undefined
  expect(await witness.begin().wasOutOfMemory(7, 'killed')).toBe(false)
})

test('an idle witness looks at nothing, and a kill while nothing ran is no later process of its', async () => {
  vi.useFakeTimers()
  onTestFinished(() => void vi.useRealTimers())
  const counter = { value: 5, looks: 0 }
  const count = async () => {
    counter.looks++
    return counter.value
  }
  const witness = createOomWitness({ count }, NO_LOG)
  onTestFinished(witness.close)
  await vi.advanceTimersByTimeAsync(60_000)
  expect([counter.looks, vi.getTimerCount()]).toEqual([0, 0])
  const [one, other] = [witness.begin(), witness.begin()]
  await vi.advanceTimersByTimeAsync(60_000)
  expect(counter.looks).toBeGreaterThan(20)
  one.end()
  one.end()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(vi.getTimerCount()).toBe(1)
  other.end()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(vi.getTimerCount()).toBe(0)
  counter.value = 6
  const later = witness.begin()
  await vi.advanceTimersByTimeAsync(0)
  expect(await later.wasOutOfMemory(7, 'killed')).toBe(false)
  counter.value = 7
  expect(await later.wasOutOfMemory(7, 'killed')).toBe(true)
})
