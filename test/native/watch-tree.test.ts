import { mkdir, rename, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { close, openInotify, watchTree } from '../../src/native/index.ts'
import { cancelTreeTask, createTreeTask } from '../../src/native/tree-task.ts'
import { unpackTree } from '../../src/native/watched-tree.ts'
import { IN } from '../../src/watch/inotify-event.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const LIMIT = 1024 * 1024

/** The names in the directories that a walk from `start` on has watched. */
async function watchedNames(root: string, start: string): Promise<string[]> {
  const instance = openInotify()
  try {
    const packed = await watchTree(
      instance,
      Buffer.from(root),
      Buffer.from(start),
      IN.CREATE,
      true,
      -1,
      LIMIT,
      createTreeTask(),
    )
    return Array.from(unpackTree(packed).directories, ({ names }) => names.toString('latin1'))
  } finally {
    close(instance)
  }
}

test('a walk below a watched directory goes through no link that has taken the place of a directory', async () => {
  await using dir = await makeTmpDir()
  const root = join(dir.path, 'watched')
  await mkdir(join(root, 'd/sub/seen'), { recursive: true })
  await mkdir(join(dir.path, 'closed/sub/secret'), { recursive: true })
  expect(await watchedNames(root, 'd/sub')).toEqual(['dseen\0', ''])
  await rename(join(root, 'd'), join(root, 'gone'))
  await symlink(join(dir.path, 'closed'), join(root, 'd'))
  expect(await watchedNames(root, 'd/sub')).toEqual([])
  expect(await watchedNames(root, 'd')).toEqual([])
  expect(await watchedNames(root, 'gone/sub')).toEqual(['dseen\0', ''])
})

test('a walk ends when its task is cancelled', async () => {
  await using dir = await makeTmpDir()
  for (let at = 0; at < 2000; at++) await mkdir(join(dir.path, String(at)))
  const instance = openInotify()
  try {
    const task = createTreeTask()
    const walk = watchTree(instance, Buffer.from(dir.path), Buffer.alloc(0), IN.CREATE, true, -1, LIMIT, task)
    cancelTreeTask(task)
    const { failure, directories } = unpackTree(await walk)
    expect(failure).toBe('ECANCELED')
    expect([...directories].length).toBeLessThan(2001)
  } finally {
    close(instance)
  }
})
