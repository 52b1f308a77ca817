import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createLock } from '../../src/lib/lock.ts'

const never = new AbortController().signal

test('F6 holders take turns in the order of asking', async () => {
  const lock = createLock()
  const order: string[] = []
  const release = await lock.acquire(never)
  const others = ['one', 'two', 'three'].map(async (name) => {
    const done = await lock.acquire(never)
    order.push(`${name} in`)
    await setImmediate()
    order.push(`${name} out`)
    done()
  })
  order.push('first out')
  release()
  await Promise.all(others)
  expect(order).toEqual(['first out', 'one in', 'one out', 'two in', 'two out', 'three in', 'three out'])
})

test('F6 who gives up waiting gets the reason and does not hold up the next', async () => {
  const lock = createLock()
  const release = await lock.acquire(never)
  const controller = new AbortController()
  const impatient = lock.acquire(controller.signal)
  const next = lock.acquire(never)
  controller.abort(new Error('gone'))
  await expect(impatient).rejects.toThrow('gone')
  await expect(lock.acquire(controller.signal)).rejects.toThrow('gone')
  release()
  release()
  const done = await next
  let taken = false
  const last = lock.acquire(never).then((end) => {
    taken = true
    end()
  })
  await setImmediate()
  expect(taken).toBe(false)
  done()
  await last
})
