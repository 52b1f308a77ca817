import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { startFiles } from './files.ts'

test('C14 C15 B41 MakeDir and Move to a path through a missing directory and back succeed where the clean path leads', async () => {
  await using files = await startFiles()
  const at = (name: string) => `${files.dir}/${name}`
  expect(await files.makeDir(at('no/../made/sub'))).toMatchObject({ name: 'sub', path: at('made/sub') })
  expect(await files.makeDir(at('made/../there'))).toMatchObject({ name: 'there', path: at('made/../there') })
  // Through a link it is made where the clean path leads, too.
  await mkdir(at('far/away'), { recursive: true })
  await symlink('far/away', at('link'))
  expect(await files.makeDir(at('link/../linked'))).toMatchObject({ path: at('linked') })
  await writeFile(at('file'), 'x')
  expect(await files.move(at('file'), at('no/../new/moved'))).toMatchObject({ path: at('new/moved') })
  expect(await readFile(at('new/moved'), 'utf8')).toBe('x')
  expect((await readdir(files.dir)).sort()).toEqual([
    ...['far', 'group', 'home', 'link', 'linked', 'made', 'new', 'passwd', 'there'],
  ])
})
