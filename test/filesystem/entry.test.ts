import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, symlink, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { modeText } from '../../src/filesystem/entry.ts'
import { FileType } from '../../src/gen/filesystem/filesystem_pb.js'
import { needsRoot } from '../_util/namespace.ts'
import { startFiles } from './files.ts'

test('C7 an entry has name, path, size, owners and the time to the nanosecond', async () => {
  await using files = await startFiles()
  const path = join(files.dir, 'f')
  await writeFile(path, '12345')
  await chown(path, files.people.ann.uid, files.people.ann.gid)
  execFileSync('touch', ['-d', '2024-02-03 04:05:06.123456789 UTC', path])
  expect(await files.stat(path)).toMatchObject({
    name: 'f',
    path,
    size: 5n,
    type: FileType.FILE,
    owner: 'ann',
    group: 'ann',
    modifiedTime: { seconds: 1706933106n, nanos: 123456789 },
  })
})

test('C7 numbers without a name are shown as numbers', async (context) => {
  needsRoot(context)
  await using files = await startFiles()
  await writeFile(join(files.dir, 'f'), '')
  await chown(join(files.dir, 'f'), 54321, 54322)
  expect(await files.stat(join(files.dir, 'f'))).toMatchObject({ owner: '54321', group: '54322' })
})

test('C7 a time before 1970 stays what it is', async () => {
  await using files = await startFiles()
  await writeFile(join(files.dir, 'f'), '')
  await utimes(join(files.dir, 'f'), new Date(-1500), new Date(-1500))
  expect((await files.stat(join(files.dir, 'f'))).modifiedTime).toMatchObject({ seconds: -2n, nanos: 500_000_000 })
})

test('C8 files and directories have a type, everything else has none, links have that of their target', async () => {
  await using files = await startFiles()
  const at = (name: string) => join(files.dir, name)
  await writeFile(at('file'), '')
  await mkdir(at('dir'))
  execFileSync('mkfifo', [at('fifo')])
  const server = createServer().listen(at('socket'))
  await once(server, 'listening')
  for (const name of ['file', 'dir', 'fifo']) await symlink(name, at(`to-${name}`))
  await symlink('to-file', at('to-link'))
  await symlink('nowhere', at('broken'))
  await symlink('loop', at('loop'))
  const { FILE, DIRECTORY, UNSPECIFIED } = FileType
  const expected = {
    file: FILE,
    dir: DIRECTORY,
    fifo: UNSPECIFIED,
    socket: UNSPECIFIED,
    'to-file': FILE,
    'to-dir': DIRECTORY,
    'to-fifo': UNSPECIFIED,
    'to-link': FILE,
    broken: UNSPECIFIED,
    loop: UNSPECIFIED,
  }
  for (const [name, type] of Object.entries(expected)) {
    expect({ name, type: (await files.stat(at(name))).type }).toEqual({ name, type })
  }
  expect((await files.stat('/dev/null')).type).toBe(UNSPECIFIED)
  server.close()
})

test('C9 the mode is nine bits, those of the target for a link', async () => {
  await using files = await startFiles()
  const at = (name: string) => join(files.dir, name)
  await writeFile(at('f'), '')
  await chmod(at('f'), 0o4751)
  await symlink('f', at('link'))
  await symlink('nowhere', at('broken'))
  expect((await files.stat(at('f'))).mode).toBe(0o751)
  expect((await files.stat(at('link'))).mode).toBe(0o751)
  expect((await files.stat(at('broken'))).mode).toBe(0)
})

test.each([
  [0o100644, '-rw-r--r--'],
  [0o104755, 'urwxr-xr-x'],
  [0o102755, 'grwxr-xr-x'],
  [0o107777, 'ugtrwxrwxrwx'],
  [0o040755, 'drwxr-xr-x'],
  [0o041777, 'dtrwxrwxrwx'],
  [0o120777, 'Lrwxrwxrwx'],
  [0o020666, 'Dcrw-rw-rw-'],
  [0o060660, 'Drw-rw----'],
  [0o010644, 'prw-r--r--'],
  [0o140755, 'Srwxr-xr-x'],
  [0o100000, '----------'],
])('C10 the mode %o reads %s', (mode, text) => {
  expect(modeText(mode)).toBe(text)
})

test('C10 the permissions of a link are its own', async () => {
  await using files = await startFiles()
  await symlink('/tmp', join(files.dir, 'link'))
  expect((await files.stat(join(files.dir, 'link'))).permissions).toBe('Lrwxrwxrwx')
  expect((await files.stat('/tmp')).permissions).toMatch(/^dt?rwx/)
  expect((await files.stat('/dev/null')).permissions).toBe('Dcrw-rw-rw-')
})

test('C11 a link has its final target, and its own path if there is none', async () => {
  await using files = await startFiles()
  const at = (name: string) => join(files.dir, name)
  await mkdir(at('d'))
  await writeFile(at('d/f'), 'x')
  await symlink('d', at('dir-link'))
  await symlink('dir-link/f', at('link'))
  await symlink('link', at('again'))
  await symlink('nowhere', at('broken'))
  await symlink('loop', at('loop'))
  expect((await files.stat(at('again'))).symlinkTarget).toBe(at('d/f'))
  expect((await files.stat(at('dir-link'))).symlinkTarget).toBe(at('d'))
  expect((await files.stat(at('broken'))).symlinkTarget).toBe(at('broken'))
  expect((await files.stat(at('loop'))).symlinkTarget).toBe(at('loop'))
  expect((await files.stat(at('d/f'))).symlinkTarget).toBeUndefined()
  expect((await files.stat(at('again'))).size).toBe(4n)
})

test('C12 B50 metadata comes from the attributes, through links, without what is not UTF-8', async () => {
  await using files = await startFiles()
  const path = join(files.dir, 'f')
  await writeFile(path, '')
  await symlink('f', join(files.dir, 'link'))
  expect((await files.stat(path)).metadata).toEqual({})
  const script =
    'import os,sys\nfor k,v in [("user.e2b.a",b"1"),("user.e2b.long",b"x"*2000),("user.e2b.bad",b"\\xff"),("user.other",b"2")]: os.setxattr(sys.argv[1],k,v)'
  execFileSync('python3', ['-c', script, path])
  const expected = { a: '1', long: 'x'.repeat(2000) }
  expect((await files.stat(path)).metadata).toEqual(expected)
  expect((await files.stat(join(files.dir, 'link'))).metadata).toEqual(expected)
  await files.move(path, join(files.dir, 'moved'))
  expect((await files.stat(join(files.dir, 'moved'))).metadata).toEqual(expected)
})
