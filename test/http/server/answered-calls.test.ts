import { expect, test } from 'vitest'
import { startFront } from '../front.ts'
import { ANSWERED, refusedCalls } from './refused-calls.ts'

// In a file of its own: the bodies that another test has left count as well until they are given up.
test('of answered calls of HTTP/2 whose bodies do not end 128 stay open, and those for 5 s', async () => {
  await using front = await startFront()
  const began = performance.now()
  using sent = await refusedCalls(front.port, 300, 100)
  const ended = await Promise.all(sent.calls)
  expect(ended).toEqual(sent.calls.map(() => ANSWERED))
  // On a busy machine the answers of all of them may come late: each is judged by what follows its own.
  expect(ended.filter(({ lasted }) => lasted > 2_500)).toHaveLength(128)
  expect(performance.now() - began).toBeGreaterThan(4_900)
})
