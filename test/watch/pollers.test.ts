import { afterEach, expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { EventType } from '../../src/gen/filesystem/filesystem_pb.js'
import { ChangeBuffer } from '../../src/watch/change-buffer.ts'
import { type PollerLimits, Pollers } from '../../src/watch/pollers.ts'

const context = { path: '/watched', actor: { uid: 0, gid: 0 }, includeEntry: false }
const created: Pollers[] = []
afterEach(() => {
  for (const pollers of created.splice(0)) pollers.close()
})

/** Pollers whose one watcher is fed by hand. */
async function withWatcher(limits: PollerLimits = {}) {
  const pollers = new Pollers(limits)
  created.push(pollers)
  let buffer = new ChangeBuffer()
  let closed = 0
  const id = await pollers.add(context, async (given) => {
    buffer = given
    return { settled: async () => {}, close: () => closed++ }
  })
  const push = (...names: (string | number)[]) => {
    for (const name of names) buffer.push({ name: String(name), type: EventType.WRITE })
  }
  const names = async () => (await pollers.poll(id)).changes.map(({ name }) => name)
  return { pollers, id, push, names, closed: () => closed, end: (error: AppError) => buffer.end(error) }
}

test('C40 the id of a watcher is `w` and 20 small letters or digits, and each is another one', async () => {
  const { pollers, id } = await withWatcher()
  const watcher = { settled: async () => {}, close: () => {} }
  const ids = [id, ...(await Promise.all(Array.from({ length: 500 }, () => pollers.add(context, async () => watcher))))]
  for (const one of ids) expect(one).toMatch(/^w[a-z0-9]{20}$/)
  expect(new Set(ids).size).toBe(501)
})

test('C41 a poll takes what has come since the last one, in order', async () => {
  const { push, names } = await withWatcher()
  push('a', 'b')
  expect(await names()).toEqual(['a', 'b'])
  expect(await names()).toEqual([])
  push('c')
  expect(await names()).toEqual(['c'])
})

test('C40 of more changes than are kept the oldest go, which the next poll reports once', async () => {
  const { push, names } = await withWatcher({ changes: 3 })
  push(1, 2, 3, 4, 5)
  await expect(names()).rejects.toMatchObject({
    kind: 'resource_exhausted',
    message: '2 file events were missed: more than 3 were waiting to be taken',
  })
  push(6)
  // What has come since, too, is more than fits.
  await expect(names()).rejects.toMatchObject({ message: expect.stringMatching(/^1 file/) })
  expect(await names()).toEqual(['4', '5', '6'])
  push(7)
  expect(await names()).toEqual(['7'])
})

test('C40 a million changes between two polls keep 65,536', async () => {
  const { push, names } = await withWatcher()
  for (let i = 0; i < 1_000_000; i++) push(i)
  await expect(names()).rejects.toMatchObject({ message: expect.stringMatching(/^934464 file events were missed/) })
  const kept = await names()
  expect([kept.length, kept[0], kept.at(-1)]).toEqual([65_536, '934464', '999999'])
})

test('C33 C41 when the watching has ended, what was reported before comes first, then why, for every poll', async () => {
  const { push, names, end } = await withWatcher()
  push('a')
  end(new AppError('not_found', 'it was removed'))
  expect(await names()).toEqual(['a'])
  await expect(names()).rejects.toMatchObject({ kind: 'not_found', message: 'it was removed' })
  await expect(names()).rejects.toMatchObject({ kind: 'not_found' })
})

test('C40 a watcher without polls is removed, one that is polled is not', async () => {
  const { pollers, id, closed } = await withWatcher({ idle: 300, sweep: 10 })
  const end = performance.now() + 500
  await expect
    .poll(async () => {
      await pollers.poll(id)
      return performance.now() > end
    })
    .toBe(true)
  expect(closed()).toBe(0)
  await expect.poll(() => pollers.size).toBe(0)
  expect(closed()).toBe(1)
  await expect(pollers.poll(id)).rejects.toMatchObject({
    kind: 'not_found',
    message: `watcher with id ${id} not found`,
  })
})

test('C40 there are as many watchers as allowed, also of those that are still being opened', async () => {
  const pollers = new Pollers({ pollers: 2 })
  created.push(pollers)
  const watcher = { settled: async () => {}, close: () => {} }
  const { promise, resolve } = Promise.withResolvers<typeof watcher>()
  const opening = pollers.add(context, () => promise)
  const id = await pollers.add(context, async () => watcher)
  const more = () => pollers.add(context, async () => watcher)
  await expect(more()).rejects.toMatchObject({
    kind: 'resource_exhausted',
    message: 'there are 2 watchers already: remove some first',
  })
  pollers.remove(id)
  await more()
  resolve(watcher)
  await opening
  await expect(pollers.add(context, () => Promise.reject(new AppError('not_found', 'no')))).rejects.toBeInstanceOf(
    AppError,
  )
  expect(pollers.size).toBe(2)
})

test('C41 an unknown id is not found, whatever is asked', async () => {
  const { pollers } = await withWatcher()
  await expect(pollers.poll('wnone')).rejects.toMatchObject({
    kind: 'not_found',
    message: 'watcher with id wnone not found',
  })
  expect(() => pollers.remove('wnone')).toThrow('watcher with id wnone not found')
})
