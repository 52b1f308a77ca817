import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { replaceFile } from '../../src/lib/replace-file.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

test('a replaced file has the new content and the mode, and nothing stays beside it', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'file')
  await writeFile(path, 'old', { mode: 0o600 })
  const before = await stat(path)
  expect(await replaceFile(path, 'new', { mode: 0o644 })).toBe(true)
  const after = await stat(path)
  expect(await readFile(path, 'utf8')).toBe('new')
  expect(after.mode & 0o7777).toBe(0o644)
  expect(after.ino).not.toBe(before.ino)
  expect(await readdir(dir.path)).toEqual(['file'])
})

test('what a crash has left beside the file is overwritten', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'file')
  await writeFile(`${path}.new`, 'a longer text that was cut off', { mode: 0o666 })
  await replaceFile(path, 'new', { mode: 0o600 })
  expect(await readFile(path, 'utf8')).toBe('new')
  expect((await stat(path)).mode & 0o7777).toBe(0o600)
})

test('a condition that fails, and an error, leave the file as it was and nothing beside it', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'file')
  await writeFile(path, 'old')
  expect(await replaceFile(path, 'new', { mode: 0o600, condition: async () => false })).toBe(false)
  expect(await readFile(path, 'utf8')).toBe('old')
  await mkdir(join(dir.path, 'directory'))
  await expect(replaceFile(join(dir.path, 'directory'), 'new', { mode: 0o600 })).rejects.toMatchObject({
    code: 'EISDIR',
  })
  expect((await readdir(dir.path)).sort()).toEqual(['directory', 'file'])
})
