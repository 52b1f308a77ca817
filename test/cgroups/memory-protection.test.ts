import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { memoryProtection } from '../../src/cgroups/memory-protection.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const MAX = '9223372036854775807'

/** A recorded hierarchy with the daemon in `own`. */
async function makeTree(own: string, files: Readonly<Record<string, string>>) {
  const tmp = await makeTmpDir()
  const root = join(tmp.path, 'cgroup')
  const proc = join(tmp.path, 'proc')
  for (const directory of [proc, join(root, 'a/b'), join(root, own)]) mkdirSync(directory, { recursive: true })
  for (const [file, text] of Object.entries(files)) writeFileSync(join(root, file), text)
  writeFileSync(join(proc, 'cgroup'), own === 'none' ? '1:cpu:/\n' : `0::/${own}\n`)
  writeFileSync(join(proc, 'mountinfo'), `30 1 0:26 / ${root} rw - cgroup2 cgroup2 rw\n`)
  return { root, proc, [Symbol.asyncDispose]: () => tmp[Symbol.asyncDispose]() }
}

const FILES = { 'a/memory.min': '5\n', 'a/b/memory.min': '10\n', 'a/b/memory.low': '20\n' }

test.each([
  ['below the root', 'a/b', FILES, '{"request":10,"low":20,"floor":5,"partial":false}'],
  [
    'the word max',
    'a/b',
    { ...FILES, 'a/b/memory.low': 'max\n' },
    `{"request":10,"low":${MAX},"floor":5,"partial":false}`,
  ],
  [
    'a file that is not there',
    'a/b',
    { ...FILES, 'a/memory.min': 'x' },
    '{"request":10,"low":20,"floor":0,"partial":true}',
  ],
  ['in the root', '', FILES, '{"request":0,"low":0,"floor":0,"partial":false}'],
  ['in no cgroup2', 'none', FILES, '{"request":0,"low":0,"floor":0,"partial":true}'],
])('N13 the memory that is kept for the daemon: %s', async (_, own, files, reported) => {
  await using tree = await makeTree(own, files)
  expect(await memoryProtection(tree.root, tree.proc)).toBe(reported)
})

test('N13 a daemon outside of its root, or without cgroups, can tell nothing', async () => {
  await using tree = await makeTree('c', FILES)
  const nothing = '{"request":0,"low":0,"floor":0,"partial":true}'
  expect(await memoryProtection(join(tree.root, 'a'), tree.proc)).toBe(nothing)
  expect(await memoryProtection(undefined)).toBe(nothing)
})
