import { chown, mkdir, readdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openBeside } from '../../src/archives/directory-beside.ts'
import { needsRoot } from '../_util/namespace.ts'
import { makePeople } from '../_util/people.ts'
import { recordingLog } from '../_util/recording-log.ts'
import { makeOtherTree } from '../_util/swapped-name.ts'
import { refusal } from '../filesystem/files.ts'

const STALE = refusal('aborted', /it cannot be replaced in one step: stale file handle/)

/** One with a file `new`, beside `target`, where ann has one with a file `old`, or nothing. */
async function replaceTarget(there: 'old' | 'nothing') {
  const people = await makePeople()
  const { uid, gid, home } = people.ann
  const path = join(home, 'target')
  const makeOld = async () => {
    await mkdir(path)
    await writeFile(join(path, 'old'), '')
    await chown(path, uid, gid)
  }
  if (there === 'old') await makeOld()
  const other = await makeOtherTree(home)
  const { log, lines } = recordingLog()
  const beside = await openBeside({ path, owner: { name: 'ann', uid, gid, home }, mode: 'replace', log })
  await writeFile(`/proc/self/fd/${beside.root}/new`, '')
  await beside.giveToOwner()
  const temporary = (await readdir(home)).find((name) => name.startsWith('.envd-')) ?? ''
  const inHome = (name = '') => readdir(join(home, name))
  const renameThere = (from: string, to: string) => rename(join(home, from), join(home, to))
  const end = () => people[Symbol.asyncDispose]()
  return { makeOld, inHome, rename: renameThere, other, lines, beside, temporary, [Symbol.asyncDispose]: end }
}

test.each(['old', 'nothing'] as const)('another tree that has the name where %s is is not placed', async (there) => {
  await using at = await replaceTarget(there)
  expect(at.other.takeName(at.temporary)).toBe(true)
  await expect(at.beside.place()).rejects.toEqual(STALE)
  await at.beside.close()
  expect(await at.other.find()).toBe(at.temporary)
  expect(await at.inHome('own')).toEqual([])
  expect((await at.inHome()).includes('target')).toBe(there === 'old')
  if (there === 'old') expect(await at.inHome('target')).toEqual(['old'])
  expect(at.lines).toMatchObject([{ level: 'warn', message: expect.stringMatching(/could not be removed/) }])
})

test('another tree that gets the name of the replaced directory is left as it is', async () => {
  await using at = await replaceTarget('old')
  await at.beside.place()
  expect(at.other.takeName(at.temporary)).toBe(true)
  await at.beside.close()
  expect(await at.other.find()).toBe(at.temporary)
  expect(await at.inHome('own')).toEqual([])
  expect(await at.inHome('target')).toEqual(['new'])
})

test('a directory of another user that has taken the place meanwhile is not replaced', async (context) => {
  needsRoot(context)
  await using at = await replaceTarget('old')
  expect(at.other.takeName('target')).toBe(true)
  await expect(at.beside.place()).rejects.toEqual(STALE)
  await at.beside.close()
  expect(await at.other.find()).toBe('target')
  expect(await at.inHome('own')).toEqual(['old'])
  expect((await at.inHome()).sort()).toEqual(['own', 'target'])
})

test('another directory of the same user that has taken the place meanwhile is replaced', async () => {
  await using at = await replaceTarget('old')
  await at.rename('target', 'own')
  await at.makeOld()
  await at.beside.place()
  await at.beside.close()
  expect(await at.inHome('own')).toEqual(['old'])
  expect(await at.inHome('target')).toEqual(['new'])
  expect((await at.inHome()).sort()).toEqual(['other', 'own', 'target'])
})
