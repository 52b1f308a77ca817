import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { createLock } from '../../src/lib/lock.ts'
import { NEVER } from '../../src/lib/never.ts'

test('F6 holders take turns in the order of asking', async () => {
  const lock = createLock()
  const order: string[] = []
  const release = await lock.acquire(NEVER)
  const others = ['one', 'two', 'three'].map(async (name) => {
    const done = await lock.acquire(NEVER)
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
  const release = await lock.acquire(NEVER)
  const controller = new AbortController()
  const impatient = lock.acquire(controller.signal)
  const next = lock.acquire(NEVER)
  controller.abort(new Error('gone'))
  await expect(impatient).rejects.toThrow('gone')
  await expect(lock.acquire(controller.signal)).rejects.toThrow('gone')
  release()
  release()
  const done = await next
  let taken = false
  const last = lock.acquire(NEVER).then((end) => {
    taken = true
    end()
  })
  await setImmediate()
  expect(taken).toBe(false)
  done()
  await last
})
