import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, type TestContext, test } from 'vitest'
import { needsRoot } from '../_util/namespace.ts'
import { makeOtherTree, onceFilled } from '../_util/swapped-name.ts'
import { refusal, startFiles } from './files.ts'

/** So that a move is seen before it is done. */
const FILES = 500
const STALE = refusal('internal', /^error renaming: rename .*: stale file handle$/)

/** A directory `tree` and one on another filesystem. */
async function twoDisks(context: TestContext) {
  needsRoot(context)
  const files = await startFiles()
  const far = `/dev/shm/envd-test-${process.pid}`
  await mkdir(far)
  const end = async () => {
    await rm(far, { recursive: true })
    await files[Symbol.asyncDispose]()
  }
  if ((await stat(far)).dev === (await stat(files.dir)).dev) {
    await end()
    context.skip('needs two filesystems')
  }
  const tree = join(files.dir, 'tree')
  await mkdir(tree)
  for (let index = 0; index < FILES; index++) await writeFile(join(tree, `${index}`), 'x')
  return { near: files.dir, far, move: () => files.move(tree, join(far, 'tree')), [Symbol.asyncDispose]: end }
}

test('a move to another filesystem removes what it has copied, and no tree that has its name by then', async (context) => {
  await using disks = await twoDisks(context)
  const { near, far, move } = disks
  const other = await makeOtherTree(near)
  let taken = false
  using _ = onceFilled(far, 'tree.e2b-move.', () => {
    taken = other.takeName('tree')
  })
  await expect(move()).rejects.toEqual(STALE)
  expect(taken).toBe(true)
  expect(await other.find()).toBe('tree')
  expect(await readdir(join(near, 'own'))).toEqual([])
  expect(await readdir(join(far, 'tree'))).toHaveLength(FILES)
})

test('another tree that has the name of its copy is neither placed nor removed', async (context) => {
  await using disks = await twoDisks(context)
  const { near, far, move } = disks
  const other = await makeOtherTree(far)
  let taken = ''
  using _ = onceFilled(far, 'tree.e2b-move.', (name) => {
    if (other.takeName(name)) taken = name
  })
  await expect(move()).rejects.toEqual(STALE)
  expect(await other.find()).toBe(taken)
  expect(await readdir(join(far, 'own'))).toEqual([])
  expect((await readdir(far)).sort()).toEqual(['own', taken].sort())
  expect(await readdir(join(near, 'tree'))).toHaveLength(FILES)
})
