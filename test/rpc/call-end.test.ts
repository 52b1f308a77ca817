import { expect, test } from 'vitest'
import { CallEnd } from '../../src/rpc/call-end.ts'

const never = new Promise<never>(() => {})

test('a call that ends rejects what it waits for, and its signal aborts, whenever that is asked for', async () => {
  const end = new CallEnd()
  const waiting = end.race(never)
  const early = end.signal
  end.abort('first')
  end.abort('second')
  await expect(waiting).rejects.toBe('first')
  await expect(end.race(never)).rejects.toBe('first')
  expect([early.aborted, early.reason, end.aborted, end.reason]).toEqual([true, 'first', true, 'first'])
  const late = new CallEnd()
  late.abort('gone')
  expect([late.signal.aborted, late.signal.reason]).toEqual([true, 'gone'])
})

test('a call that has not ended settles as its work does', async () => {
  const end = new CallEnd()
  expect(await end.race(Promise.resolve(1))).toBe(1)
  await expect(end.race(Promise.reject(new Error('work')))).rejects.toThrow('work')
  expect(end.signal.aborted).toBe(false)
})
