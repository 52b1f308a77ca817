import { readFile, symlink, writeFile } from 'node:fs/promises'
import { expect, onTestFinished, test } from 'vitest'
import { enableControllers, makeGroup } from '../../src/cgroups/make-group.ts'
import { groupProperties } from '../../src/cgroups/properties.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

/** A directory with files as the kernel would make them, empty. */
async function recorded(files: Readonly<Record<string, string>>): Promise<string> {
  const { path, [Symbol.asyncDispose]: remove } = await makeTmpDir()
  onTestFinished(remove)
  for (const [name, text] of Object.entries(files)) await writeFile(`${path}/${name}`, text)
  return path
}

const properties = groupProperties(2 ** 30).socats
const names = properties.map(([name]) => name)
const all = Object.fromEntries(names.map((name) => [name, '']))

test('H2 every property is written to its file, in a cgroup that is there already', async () => {
  const path = await recorded(all)
  expect(await makeGroup(path, properties)).toEqual([])
  for (const [name, value] of properties) expect(await readFile(`${path}/${name}`, 'latin1')).toBe(value)
})

test('H2 a missing file is left out and reported, and so is one that may not be written; the rest is set', async () => {
  const path = await recorded({ 'cpu.weight': '', 'memory.low': '' })
  // Refused to root as well.
  await symlink('/proc/sys/kernel/ostype', `${path}/memory.min`)
  expect(await makeGroup(path, properties)).toEqual(['io.weight', 'memory.min'])
  expect(await readFile(`${path}/cpu.weight`, 'latin1')).toBe('150')
  expect(await readFile(`${path}/memory.low`, 'latin1')).toBe('8388608')
})

test('H2 a property that cannot be written for another reason is an error', async () => {
  const path = await recorded({})
  await symlink('/dev/full', `${path}/cpu.weight`)
  await expect(makeGroup(path, properties)).rejects.toMatchObject({ code: 'ENOSPC' })
})

test('a cgroup is made where there is none, and a file in its place is an error', async () => {
  const path = await recorded({ file: '' })
  expect(await makeGroup(`${path}/new`, properties)).toEqual(names)
  await expect(makeGroup(`${path}/file`, properties)).rejects.toMatchObject({ code: 'ENOTDIR' })
  await expect(makeGroup(`${path}/missing/new`, [])).rejects.toMatchObject({ code: 'ENOENT' })
})

test.each([
  ['the memory controller that is not enabled', 'cpuset memory pids\n', 'pids\n', '+memory'],
  ['none that is not there', 'hugetlb\n', 'hugetlb\n', 'hugetlb\n'],
  ['none that is enabled', 'cpu io memory\n', 'cpu io memory pids\n', 'cpu io memory pids\n'],
])('asks for %s', async (_title, controllers, enabled, expected) => {
  const path = await recorded({ 'cgroup.controllers': controllers, 'cgroup.subtree_control': enabled })
  await enableControllers(path)
  expect(await readFile(`${path}/cgroup.subtree_control`, 'latin1')).toBe(expected)
})

test('controllers that cannot be had are no error', async () => {
  const path = await recorded({ 'cgroup.controllers': 'cpu io memory\n' })
  await enableControllers(path)
  await symlink('/dev/full', `${path}/cgroup.subtree_control`)
  await enableControllers(path)
  await enableControllers('/missing')
})
