import { mkdir, rename, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { EventType } from '../../src/gen/filesystem/filesystem_pb.js'
import { ChangeBuffer } from '../../src/watch/change-buffer.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { sharedBy, watchDirectory } from './watching.ts'

const MIB = 1024 * 1024
const OWNER = { connection: undefined, user: 'ann' }

async function makeTree(path: string, directories: number): Promise<void> {
  for (let index = 0; index < directories; index++) await mkdir(`${path}/${index}`)
}

test('watchers of one directory share its tree, which is counted once and given back with the last of them', async () => {
  await using tmp = await makeTmpDir()
  await makeTree(tmp.path, 500)
  const budget = createByteBudget(64 * MIB)
  await using first = await watchDirectory(tmp.path, { budget })
  const { inotify } = first
  const alone = budget.usage().watch
  expect(alone).toBeGreaterThan(500 * 500)
  const others = await Promise.all(Array.from({ length: 50 }, () => watchDirectory(tmp.path, { inotify })))
  expect(budget.usage().watch).toBe(alone)
  expect(sharedBy(inotify).trees.size).toBe(1)
  await writeFile(`${tmp.path}/7/f`, '')
  for (const watching of [first, ...others]) expect(await watching.reported()).toEqual(['CREATE 7/f'])
  first.watcher.close()
  await writeFile(`${tmp.path}/8/f`, '')
  expect(await others[0]?.reported()).toEqual(['CREATE 8/f'])
  expect(await first.reported()).toEqual([])
  for (const { watcher } of others) watcher.close()
  expect(budget.usage().watch).toBe(0)
  await expect.poll(() => inotify.watches).toBe(0)
})

test('C33 who joins a tree hears nothing of before, and a directory that has taken the place of a watched one is watched', async () => {
  await using tmp = await makeTmpDir()
  await mkdir(`${tmp.path}/root`)
  await using first = await watchDirectory(`${tmp.path}/root`)
  await writeFile(`${tmp.path}/root/before`, '')
  await using second = await watchDirectory(`${tmp.path}/root`, { inotify: first.inotify })
  await writeFile(`${tmp.path}/root/after`, '')
  expect(await second.reported()).toEqual(['CREATE after'])
  expect(await first.reported()).toEqual(['CREATE before', 'CREATE after'])
  await rename(`${tmp.path}/root`, `${tmp.path}/old`)
  await mkdir(`${tmp.path}/root`)
  await using third = await watchDirectory(`${tmp.path}/root`, { inotify: first.inotify })
  await writeFile(`${tmp.path}/root/new`, '')
  expect(await third.reported()).toEqual(['CREATE new'])
})

test('a tree that the budget does not hold is refused, and leaves nothing behind', async () => {
  await using tmp = await makeTmpDir()
  await makeTree(tmp.path, 2_000)
  const budget = createByteBudget(MIB)
  await mkdir(`${tmp.path}/0/small`)
  await using small = await watchDirectory(`${tmp.path}/0`, { budget })
  const held = budget.usage().watch
  const watches = small.inotify.watches
  await expect(watchDirectory(tmp.path, { inotify: small.inotify })).rejects.toMatchObject({ kind: 'budget_spent' })
  expect(budget.usage().watch).toBe(held)
  await expect.poll(() => small.inotify.watches).toBe(watches)
  await writeFile(`${tmp.path}/0/f`, '')
  expect(await small.reported()).toEqual(['CREATE f'])
})

test('a tree that outgrows the budget ends with its reason, and gives everything back', async () => {
  await using tmp = await makeTmpDir()
  const budget = createByteBudget(512 * 1024)
  await using watching = await watchDirectory(tmp.path, { budget })
  for (let index = 0; index < 4_000 && watching.buffer.ended === undefined; index++) {
    await writeFile(`${tmp.path}/file-${index}`, '')
    if (index % 100 === 0) await watching.watcher.settled()
  }
  expect(watching.buffer.ended).toMatchObject({ kind: 'budget_spent' })
  expect(budget.usage().watch).toBe(0)
})

test('events that wait are counted until they were sent; without memory some are missed, which is reported once', () => {
  const budget = createByteBudget(10_000)
  const buffer = new ChangeBuffer({ hold: budget.hold('events', OWNER) })
  const push = (count: number) => {
    for (let index = 0; index < count; index++) buffer.push({ name: 'x'.repeat(28), type: EventType.WRITE })
  }
  push(20)
  expect(budget.usage().events).toBe(2_000)
  const taken = buffer.drain()
  expect(budget.usage().events).toBe(2_000)
  buffer.sent(taken)
  expect(budget.usage().events).toBe(0)
  push(100)
  // One user gets half.
  expect(budget.usage().events).toBe(5_000)
  expect(() => buffer.drain()).toThrow('50 file events were missed: the memory for waiting data is spent')
  expect(buffer.drain()).toHaveLength(50)
  buffer.close()
  expect(budget.usage().events).toBe(0)
})
