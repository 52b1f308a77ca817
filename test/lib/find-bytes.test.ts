import { expect, test } from 'vitest'
import { searchBytes } from '../../src/lib/find-bytes.ts'
import { createTimeSlice } from '../../src/lib/time-slice.ts'

async function placesOf(text: string, pattern: string, { overlapping = true, stop = Number.POSITIVE_INFINITY } = {}) {
  const places: number[] = []
  const onPlace = (at: number) => places.push(at) < stop
  await searchBytes(Buffer.from(text), Buffer.from(pattern), { overlapping, slice: createTimeSlice(), onPlace })
  return places
}

test.each([
  ['aaaa', 'aa', [0, 1, 2]],
  ['abababa', 'aba', [0, 2, 4]],
  ['abcabd', 'abd', [3]],
  ['ab', 'abc', []],
  [`${'x'.repeat(40_000)}ab`, 'ab', [40_000]],
] as const)('%.10s has %s at each place, also within one another', async (text, pattern, places) => {
  expect(await placesOf(text, pattern)).toEqual(places)
})

test('places do not overlap unless they may, and the search ends when it is told to', async () => {
  expect(await placesOf('aaaaa', 'aa', { overlapping: false })).toEqual([0, 2])
  expect(await placesOf('aaaaa', 'aa', { stop: 2 })).toEqual([0, 1])
})

test('a text that repeats itself takes no longer than any other', async () => {
  const half = 'a\n'.repeat(15_000)
  const before = process.threadCpuUsage()
  expect(await placesOf('a\n'.repeat(1_000_000), `${half}b\n${half}`)).toEqual([])
  const { user, system } = process.threadCpuUsage(before)
  // The engine's own search takes some seconds.
  expect((user + system) / 1000).toBeLessThan(500)
})
