import { expect, test } from 'vitest'
import { longTimeout } from '../../src/lib/long-timeout.ts'

test('calls back longTimeout the delay, and not once it was cancelled', async () => {
  const fired: string[] = []
  const cancel = longTimeout(10, () => fired.push('cancelled'))
  cancel()
  await new Promise<void>((resolve) => longTimeout(30, resolve))
  expect(fired).toEqual([])
})

test('a delay beyond what setTimeout takes does not fire at once', async () => {
  let fired = false
  const cancel = longTimeout(2 ** 31 + 1000, () => {
    fired = true
  })
  await new Promise<void>((resolve) => longTimeout(30, resolve))
  cancel()
  expect(fired).toBe(false)
})
