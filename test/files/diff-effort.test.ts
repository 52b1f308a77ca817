import { expect, test } from 'vitest'
import { createDiffEffort, unifiedDiff } from '../../src/files/unified-diff.ts'

const never = new AbortController().signal
const numbers = Array.from({ length: 4000 }, (_, number) => number)
const before = Buffer.from(numbers.map((number) => `line ${number}\n`).join(''))
const hunksIn = (diff: string | undefined) => diff?.match(/^@@ /gm)?.length

/** So many lines are other ones, far apart. */
function changed(lines: number): Buffer {
  const every = Math.floor(numbers.length / lines)
  return Buffer.from(
    numbers.map((number) => (number % every === 0 ? `other ${number}\n` : `line ${number}\n`)).join(''),
  )
}

test('of one answer four comparisons of many lines are made, and what else differs so much is shown as a whole', async () => {
  const effort = createDiffEffort(never)
  const hunks: (number | undefined)[] = []
  for (let i = 0; i < 6; i++)
    hunks.push(hunksIn(await unifiedDiff({ path: '/f', before, after: changed(100) }, effort)))
  expect(hunks).toEqual([100, 100, 100, 100, 1, 1])
  expect(hunksIn(await unifiedDiff({ path: '/f', before, after: changed(20) }, effort))).toBe(20)
})

test('a comparison whose caller leaves does not wait for those of others', async () => {
  const others = Array.from({ length: 3 }, () =>
    unifiedDiff({ path: '/f', before, after: changed(100) }, createDiffEffort(never)),
  )
  const gone = AbortSignal.abort(new Error('gone'))
  await expect(unifiedDiff({ path: '/f', before, after: changed(100) }, createDiffEffort(gone))).rejects.toThrow('gone')
  expect((await Promise.all(others)).map(hunksIn)).toEqual([100, 100, 100])
})
