import { writeFileSync } from 'node:fs'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { NEVER } from '../../src/lib/never.ts'
import { ChangeCursors } from '../../src/watch/change-cursors.ts'
import { Inotify } from '../../src/watch/inotify.ts'
import { SharedTrees } from '../../src/watch/shared-trees.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { silent } from './watching.ts'

type Limits = ConstructorParameters<typeof ChangeCursors>[1]

/** Cursors of their own, and what they are asked for. */
function makeCursors(limits: Limits = {}, bytes = 64 * 1024 * 1024) {
  const inotify = new Inotify({ log: silent })
  const budget = createByteBudget(bytes)
  const trees = new SharedTrees({ inotify, budget })
  const cursors = new ChangeCursors({ inotify, budget, trees }, limits)
  const ask = (path: string, token = '', { user = 'root', signal = NEVER, wait = 0 } = {}) => {
    const options = { path, recursive: true, allowNetworkMounts: false, actor: { uid: 0, gid: 0 }, exclude: [], user }
    return cursors.changes(options, { token, wait, most: 1_000, signal })
  }
  const held = () => Object.values(budget.usage()).reduce((sum, bytes) => sum + bytes, 0)
  const dispose = () => {
    cursors.close()
    inotify.close()
  }
  return { cursors, trees, inotify, budget, held, ask, [Symbol.dispose]: dispose }
}

test('those who want the same share a tree, and all memory is given back', async () => {
  await using dir = await makeTmpDir()
  using made = makeCursors()
  const tokens = [await made.ask(dir.path), await made.ask(dir.path), await made.ask(dir.path)]
  expect([made.cursors.size, made.trees.size]).toEqual([3, 1])
  for (let n = 0; n < 100; n++) writeFileSync(`${dir.path}/${n}`, '')
  for (const { token } of tokens) {
    const { changes, token: next } = await made.ask(dir.path, token)
    expect(changes).toHaveLength(100)
    await made.ask(dir.path, next)
  }
  made.cursors.close()
  expect([made.cursors.size, made.trees.size, made.held()]).toEqual([0, 0, 0])
})

test('of more paths than are kept it is unknown which, and what comes then is known', async () => {
  await using dir = await makeTmpDir()
  using made = makeCursors({ paths: 10 })
  const { token } = await made.ask(dir.path)
  for (let n = 0; n < 11; n++) writeFileSync(`${dir.path}/${n}`, '')
  const lost = await made.ask(dir.path, token)
  expect(lost).toMatchObject({ unknown: 'more than 10 paths have changed', changes: [] })
  for (let n = 0; n < 5; n++) for (const name of ['a', 'b']) writeFileSync(`${dir.path}/${name}`, String(n))
  expect((await made.ask(dir.path, lost.token)).changes.map(({ name }) => name)).toEqual(['a', 'b'])
})

test('where the memory is spent it is unknown as well, and none is held', async () => {
  await using dir = await makeTmpDir()
  using made = makeCursors({}, 200_000)
  const { token } = await made.ask(dir.path)
  const before = made.held()
  for (let n = 0; n < 2_000; n++) {
    writeFileSync(`${dir.path}/${n}`, '')
    if (n % 50 === 0) await made.inotify.caughtUp()
  }
  expect((await made.ask(dir.path, token)).unknown).toMatch(/memory|token/)
  expect(made.held()).toBeLessThan(before + 200_000)
  expect(made.budget.usage().events).toBe(0)
})

test('a cursor that nobody asks for is forgotten with its tree, one that is asked for is not', async () => {
  await using dir = await makeTmpDir()
  for (const name of ['idle', 'asked', 'waited']) await mkdir(`${dir.path}/${name}`)
  using made = makeCursors({ idle: 400, sweep: 10 })
  const idle = await made.ask(`${dir.path}/idle`)
  const asked = await made.ask(`${dir.path}/asked`)
  const { token } = await made.ask(`${dir.path}/waited`)
  const waiting = made.ask(`${dir.path}/waited`, token, { wait: 60_000 })
  await expect.poll(() => made.ask(`${dir.path}/asked`, asked.token).then(() => made.cursors.size)).toBe(2)
  expect(made.trees.size).toBe(2)
  await writeFile(`${dir.path}/waited/a`, '')
  expect((await waiting).changes).toHaveLength(1)
  expect((await made.ask(`${dir.path}/asked`, asked.token)).unknown).toBeUndefined()
  expect((await made.ask(`${dir.path}/idle`, idle.token)).unknown).toBeDefined()
})

test("for one more than a user may have their least asked for goes, and nobody else's", async () => {
  await using dir = await makeTmpDir()
  using made = makeCursors({ ofUser: 3 })
  const other = await made.ask(dir.path, '', { user: 'ann' })
  const tokens: string[] = []
  for (let n = 0; n < 3; n++) tokens.push((await made.ask(dir.path)).token)
  await made.ask(dir.path, tokens[0])
  await made.ask(dir.path)
  expect((await made.ask(dir.path, tokens[0])).unknown).toBeUndefined()
  expect((await made.ask(dir.path, other.token, { user: 'ann' })).unknown).toBeUndefined()
  expect((await made.ask(dir.path, other.token)).unknown).toBeDefined()
  expect((await made.ask(dir.path, tokens[1])).unknown).toBeDefined()
})

test('for one more than all may have there is none', async () => {
  await using dir = await makeTmpDir()
  using made = makeCursors({ cursors: 2 })
  const first = await made.ask(dir.path)
  await made.ask(dir.path)
  await expect(made.ask(dir.path)).rejects.toMatchObject({ kind: 'resource_exhausted' })
  expect((await made.ask(dir.path, first.token)).unknown).toBeUndefined()
})

test('a call that waits ends with its signal, and the changes are there for the next one', async () => {
  await using dir = await makeTmpDir()
  using made = makeCursors()
  const { token } = await made.ask(dir.path)
  const controller = new AbortController()
  const waiting = made.ask(dir.path, token, { wait: 60_000, signal: controller.signal })
  await made.ask(dir.path, token)
  controller.abort(new Error('left'))
  await expect(waiting).rejects.toThrow('left')
  await chmod(dir.path, 0o755)
  expect((await made.ask(dir.path, token)).changes).toEqual([{ name: '.', types: [expect.any(Number)] }])
})
