import { chmod, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createRipgrep, ripgrep } from '../../src/files/ripgrep.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { refusal } from '../filesystem/files.ts'

test('whether files are searched depends on what is there to do it, now', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'rg')
  const found = createRipgrep([() => Promise.reject(new Error('no package')), async () => path])
  await expect(found.path()).rejects.toEqual(refusal('unimplemented', /not installed/))
  expect(found.state()).toEqual({ on: false, reason: expect.stringContaining('not installed') })
  await writeFile(path, '')
  await chmod(path, 0o755)
  expect(await found.path()).toBe(path)
  expect(found.state()).toEqual({ on: true, reason: 'files.v1.Files finds files and greps in them' })
  await rm(path)
  await expect.poll(() => found.state().on).toBe(false)
})

test('the one of the package is found', async () => {
  await expect.poll(() => ripgrep.state()).toMatchObject({ on: true })
})
