import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { untilAborted } from '../../src/ctl/until-aborted.ts'

test('items end at an abort while the next one is awaited, and no item that has passed is kept', async () => {
  setFlagsFromString('--expose_gc')
  const collect: () => void = runInNewContext('gc')
  const passed: WeakRef<object>[] = []
  let kept = -1
  const items = async function* () {
    for (let index = 0; index < 100; index++) {
      await setImmediate()
      yield { index }
    }
    await setImmediate()
    collect()
    // The last one may be in use.
    kept = passed.slice(0, -1).filter((item) => item.deref() !== undefined).length
    leave.abort()
    await new Promise(() => {})
  }
  const leave = new AbortController()
  const takeAll = async () => {
    for await (const item of untilAborted(items(), leave.signal)) passed.push(new WeakRef(item))
  }
  await takeAll()
  expect([passed.length, kept]).toEqual([100, 0])
})

test('a failure of the items is passed on', async () => {
  const items = async function* () {
    yield 1
    throw new Error('lost')
  }
  const taken: number[] = []
  const take = async () => {
    for await (const item of untilAborted(items(), new AbortController().signal)) taken.push(item)
  }
  await expect(take()).rejects.toThrow('lost')
  expect(taken).toEqual([1])
})
