import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { refusal } from '../filesystem/files.ts'
import { replace, serveFiles, write } from './served.ts'

test('edits are taken back one after the other, files that they made go', async () => {
  await using files = await serveFiles()
  const path = join(files.home, 'f')
  await writeFile(path, 'one two three')
  const first = await files.edit({ files: [replace('f', 'two', '2'), write('made', 'x')] })
  const second = await files.edit({ files: [replace('f', '2', 'zwei')] })
  expect(second.edit).toBe((first.edit ?? 0n) + 1n)
  const dry = await files.undo({ dryRun: true })
  expect(dry.files[0]?.diff).toContain('-one zwei three')
  expect(await files.undo()).toMatchObject({ edit: second.edit })
  expect(await readFile(path, 'utf8')).toBe('one 2 three')
  const back = await files.undo()
  expect(back).toMatchObject({ edit: first.edit, files: [{ removed: false }, { removed: true }] })
  expect(back.files[1]?.etag).toBeUndefined()
  expect(await readFile(path, 'utf8')).toBe('one two three')
  expect(await readdir(files.home)).toEqual(['f'])
  await expect(files.undo()).rejects.toEqual(refusal('not_found', /no edit/))
  await expect(files.undo({ edit: 1n })).rejects.toEqual(refusal('not_found', /edit 1 is not kept/))
  expect(files.budget.usage().edit).toBe(0)
})

test('a file that was changed meanwhile is not taken back, and neither are the others of its edit', async () => {
  await using files = await serveFiles()
  await files.edit({ files: [write('a', '1'), write('b', '1')] })
  await files.edit({ files: [write('a', '2'), write('b', '2')] })
  await writeFile(join(files.home, 'b'), 'mine')
  await expect(files.undo()).rejects.toEqual(refusal('condition_failed', /\/b' is not as/))
  expect(await readFile(join(files.home, 'a'), 'utf8')).toBe('2')
  expect(await readFile(join(files.home, 'b'), 'utf8')).toBe('mine')
})

test('one user cannot take back the edits of another', async () => {
  await using files = await serveFiles()
  const { edit } = await files.edit({ files: [write('a', '1')] })
  await expect(files.undo({ edit: edit ?? 0n }, { user: 'root' })).rejects.toEqual(refusal('not_found', /is not kept/))
  await files.undo({ edit: edit ?? 0n })
})

test('100 edits are kept for each user', async () => {
  await using files = await serveFiles()
  const edits: bigint[] = []
  for (let index = 0; index <= 100; index++) {
    const { edit = 0n } = await files.edit({ files: [write(`f${index}`, 'x')] })
    edits.push(edit)
  }
  await expect(files.undo({ edit: edits[0] ?? 0n })).rejects.toEqual(refusal('not_found', /not kept/))
  await files.undo({ edit: edits[1] ?? 0n })
  expect(await readdir(files.home)).toHaveLength(100)
})

test('what is kept stays within a quarter of the memory budget, the oldest goes first', async () => {
  const total = 8 * 1024 * 1024
  await using files = await serveFiles({ budget: createByteBudget(total) })
  const edits: bigint[] = []
  for (let index = 0; index < 8; index++) {
    await writeFile(join(files.home, `f${index}`), `${index}`.repeat(700_000))
    const { edit = 0n } = await files.edit({ files: [write(`f${index}`, '')] })
    edits.push(edit)
  }
  expect(files.budget.usage().edit).toBeLessThanOrEqual(total / 4)
  await expect(files.undo({ edit: edits[5] ?? 0n })).rejects.toEqual(refusal('not_found', /not kept/))
  await files.undo({ edit: edits[6] ?? 0n })
  expect(await readFile(join(files.home, 'f6'), 'utf8')).toBe('6'.repeat(700_000))
  await writeFile(join(files.home, 'large'), 'x'.repeat(2_200_000))
  expect((await files.edit({ files: [write('large', '')] })).edit).toBeUndefined()
})

test('an edit at once with its undo leaves one of both contents', async () => {
  await using files = await serveFiles()
  await files.edit({ files: [write('f', '0')] })
  for (let round = 0; round < 50; round++) {
    await Promise.allSettled([files.undo(), files.edit({ files: [write('f', `${round}`)] }), files.undo()])
    const names = await readdir(files.home)
    expect(names.filter((name) => name !== 'f')).toEqual([])
  }
})
