import { expect, test } from 'vitest'
import { NEVER } from '../../src/lib/never.ts'
import { WakeUp } from '../../src/lib/wake-up.ts'

const LONG_MS = 60_000

test('all who wait are woken, once', async () => {
  const wakeUp = new WakeUp()
  const waits = [wakeUp.wait(LONG_MS, NEVER), wakeUp.wait(LONG_MS, NEVER)]
  expect(wakeUp.awaited).toBe(true)
  wakeUp.wake()
  expect(wakeUp.awaited).toBe(false)
  expect(await Promise.all(waits)).toEqual([true, true])
  expect(await wakeUp.wait(1, NEVER)).toBe(false)
})

test('a wait ends with the reason of its signal and leaves nothing', async () => {
  const wakeUp = new WakeUp()
  const cancel = new AbortController()
  const wait = wakeUp.wait(LONG_MS, cancel.signal)
  cancel.abort(new Error('enough'))
  await expect(wait).rejects.toThrow('enough')
  await expect(wakeUp.wait(LONG_MS, cancel.signal)).rejects.toThrow('enough')
  expect(wakeUp.awaited).toBe(false)
})

test('who is woken may wait again at once', async () => {
  const wakeUp = new WakeUp()
  const again = wakeUp.wait(LONG_MS, NEVER).then(() => wakeUp.wait(1, NEVER))
  wakeUp.wake()
  expect(await again).toBe(false)
})
