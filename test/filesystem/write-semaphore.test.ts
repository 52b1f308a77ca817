import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { withWriteSlot } from '../../src/filesystem/write-semaphore.ts'

test('of 40 changes 8 are made at a time, in the order of asking, and a failure passes its turn on', async () => {
  const started: number[] = []
  const gates = Array.from({ length: 40 }, () => Promise.withResolvers<void>())
  const work = gates.map((gate, i) =>
    withWriteSlot(async () => {
      started.push(i)
      await gate.promise
      if (i % 3 === 0) throw new Error(`change ${i}`)
      return i
    }),
  )
  const settled = Promise.allSettled(work)
  for (let done = 0; done < 40; done++) {
    await setImmediate()
    expect(started).toEqual(Array.from({ length: Math.min(40, 8 + done) }, (_, i) => i))
    gates[done]?.resolve()
  }
  expect((await settled).map(({ status }) => status)).toEqual(
    Array.from({ length: 40 }, (_, i) => (i % 3 === 0 ? 'rejected' : 'fulfilled')),
  )
  const thrown = withWriteSlot(() => {
    throw new Error('at once')
  })
  await expect(thrown).rejects.toThrow('at once')
  await Promise.all(Array.from({ length: 13 }, () => withWriteSlot(() => setImmediate())))
})
