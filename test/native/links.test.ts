import { lstat, readlink, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeLink, readLink } from '../../src/native/links.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }

test('a link is made for its actor, and says what it was given, up to the longest target', async () => {
  await using dir = await makeTmpDir(0o755)
  const actor = own.uid === 0 ? { uid: 23_456, gid: 23_456 } : own
  for (const target of ['x', '../no/where', 'y'.repeat(4_095)]) {
    const path = Buffer.from(join(dir.path, `to-${target.length}`))
    await makeLink(path, Buffer.from(target), actor)
    expect(await readlink(path)).toBe(target)
    expect(await lstat(path)).toMatchObject(actor)
    expect((await readLink(path, actor)).toString()).toBe(target)
    await expect(makeLink(path, Buffer.from(target), actor)).rejects.toMatchObject({ code: 'EEXIST' })
  }
})

test('what is no link, not there, or beyond what the kernel takes is refused', async () => {
  await using dir = await makeTmpDir(0o755)
  const at = (name: string) => Buffer.from(join(dir.path, name))
  await writeFile(at('file'), '')
  await symlink('loop', at('loop'))
  await expect(readLink(at('file'), own)).rejects.toMatchObject({ code: 'EINVAL' })
  await expect(readLink(at('missing'), own)).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(makeLink(at('missing/x'), Buffer.from('x'), own)).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(makeLink(at('long'), Buffer.from('y'.repeat(4_096)), own)).rejects.toMatchObject({
    code: 'ENAMETOOLONG',
  })
  expect((await readLink(at('loop'), own)).toString()).toBe('loop')
  expect(() => makeLink(at('a\0b'), Buffer.from('x'), own)).toThrow(/EINVAL/)
})
