import { execFileSync } from 'node:child_process'
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { needsNamespace, needsRoot } from '../_util/namespace.ts'
import { refusal, startFiles } from './files.ts'

test('C1 C3 C4 C5 C6 paths are resolved as they are for files', async () => {
  await using files = await startFiles()
  const { home } = files.people.ann
  await writeFile(join(home, 'f'), '')
  expect(await files.stat('')).toMatchObject({ path: home, name: 'home' })
  expect(await files.stat('f')).toMatchObject({ path: join(home, 'f'), name: 'f' })
  expect(await files.stat('~/./f')).toMatchObject({ path: join(home, 'f') })
  expect(await files.stat('/tmp/../tmp//')).toMatchObject({ path: '/tmp/../tmp//', name: 'tmp' })
  files.defaults.workdir = '~/missing'
  await expect(files.stat('')).rejects.toEqual(refusal('not_found', new RegExp(`lstat ${home}/missing:`)))
  expect(await files.stat('f')).toMatchObject({ path: join(home, 'f') })
  await expect(files.stat('~bob')).rejects.toEqual(
    refusal('invalid_argument', "failed to expand path '~bob' for user 'ann': cannot expand user-specific home dir"),
  )
})

test('C5 a slash behind a link shows the directory it leads to', async () => {
  await using files = await startFiles()
  await symlink('home', join(files.dir, 'link'))
  expect((await files.stat(`${files.dir}/link`)).symlinkTarget).toBe(files.people.ann.home)
  const entry = await files.stat(`${files.dir}/link/`)
  expect(entry).toMatchObject({ name: 'link', path: `${files.dir}/link/` })
  expect(entry.symlinkTarget).toBeUndefined()
})

test('C13 what is missing is not found, anything else is internal', async () => {
  await using files = await startFiles()
  const { dir } = files
  await writeFile(join(dir, 'f'), '')
  await symlink('loop', join(dir, 'loop'))
  await expect(files.stat(`${dir}/no`)).rejects.toEqual(
    refusal('not_found', `file not found: lstat ${dir}/no: no such file or directory`),
  )
  const cases = [
    [`${dir}/f/x`, 'not a directory'],
    [`${dir}/loop/x`, 'too many levels of symbolic links'],
    [`${dir}/${'n'.repeat(300)}`, 'file name too long'],
    [`${dir}/a\0b`, 'invalid argument'],
  ]
  for (const [path = '', reason] of cases) {
    await expect(files.stat(path)).rejects.toEqual(
      refusal('internal', `error getting file info: lstat ${path.replace('\0', '\\u0000')}: ${reason}`),
    )
  }
  expect(await files.stat(`${dir}/loop`)).toMatchObject({ name: 'loop' })
})

test('C14 MakeDir makes parents for the user and refuses what exists', async () => {
  await using files = await startFiles()
  const { dir } = files
  const { uid, gid } = files.people.ann
  const path = join(dir, 'a/b/c')
  expect(await files.makeDir(path)).toMatchObject({ name: 'c', path, permissions: 'drwxr-xr-x', owner: 'ann' })
  for (const made of ['a', 'a/b', 'a/b/c'])
    expect(await stat(join(dir, made))).toMatchObject({ uid, gid, mode: 0o40755 })
  await expect(files.makeDir(path)).rejects.toEqual(refusal('already_exists', `directory already exists: ${path}`))
  await symlink('a', join(dir, 'link'))
  await expect(files.makeDir(join(dir, 'link'))).rejects.toEqual(refusal('already_exists', /^directory already exists/))
  await writeFile(join(dir, 'f'), '')
  await expect(files.makeDir(join(dir, 'f'))).rejects.toEqual(
    refusal('invalid_argument', `path already exists but it is not a directory: ${dir}/f`),
  )
  await expect(files.makeDir(join(dir, 'f/x'))).rejects.toEqual(
    refusal('internal', `error getting file info: stat ${dir}/f/x: not a directory`),
  )
  await symlink('nowhere', join(dir, 'broken'))
  await expect(files.makeDir(join(dir, 'broken'))).rejects.toEqual(refusal('internal', /broken/))
  expect((await files.makeDir(`${dir}/with/slash/`)).path).toBe(`${dir}/with/slash/`)
})

test('C14 of many that make one directory exactly one succeeds', async () => {
  await using files = await startFiles()
  const results = await Promise.allSettled(Array.from({ length: 32 }, () => files.makeDir(join(files.dir, 'x/y'))))
  expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1)
})

test('C15 C16 C17 Move renames, makes parents, replaces a file and never a directory', async () => {
  await using files = await startFiles()
  const at = (name: string) => join(files.dir, name)
  await writeFile(at('a'), 'a')
  await chmod(at('a'), 0o640)
  const before = await stat(at('a'))
  expect(await files.move(at('a'), at('new/dir/b'))).toMatchObject({ name: 'b', path: at('new/dir/b') })
  expect(await stat(at('new/dir/b'))).toMatchObject({ ino: before.ino, mode: before.mode, uid: before.uid })
  expect((await stat(at('new'))).uid).toBe(files.people.ann.uid)
  await writeFile(at('c'), 'c')
  await files.move(at('c'), at('new/dir/b'))
  expect(await readFile(at('new/dir/b'), 'utf8')).toBe('c')
  await files.move(at('new/dir/b'), at('new/dir/b'))
  await mkdir(at('empty'))
  const renamed = (from: string, to: string, reason: string) =>
    refusal('internal', `error renaming: rename ${at(from)} ${at(to)}: ${reason}`)
  await expect(files.move(at('new'), at('empty'))).rejects.toEqual(renamed('new', 'empty', 'file exists'))
  await expect(files.move(at('new'), at('new'))).rejects.toEqual(renamed('new', 'new', 'file exists'))
  await expect(files.move(at('new/dir/b'), at('empty'))).rejects.toEqual(renamed('new/dir/b', 'empty', 'file exists'))
  await expect(files.move(at('empty'), at('new/dir/b'))).rejects.toEqual(
    renamed('empty', 'new/dir/b', 'not a directory'),
  )
  await expect(files.move(at('new'), at('new/dir/x'))).rejects.toEqual(renamed('new', 'new/dir/x', 'invalid argument'))
  await expect(files.move('', at('x'))).rejects.toEqual(refusal('invalid_argument', 'source must not be empty'))
})

test('C15 a missing source is not found, and no parents are made for it', async () => {
  await using files = await startFiles()
  const [from, to] = [join(files.dir, 'no'), join(files.dir, 'p/q')]
  await expect(files.move(from, to)).rejects.toEqual(
    refusal('not_found', `source file not found: rename ${from} ${to}: no such file or directory`),
  )
  expect(await readdir(files.dir)).not.toContain('p')
})

test('C17 links are moved as links', async () => {
  await using files = await startFiles()
  await symlink('nowhere', join(files.dir, 'link'))
  await mkdir(join(files.dir, 'd'))
  await files.move(join(files.dir, 'link'), join(files.dir, 'd/link'))
  expect(await readlink(join(files.dir, 'd/link'))).toBe('nowhere')
})

test('C16 C17 a move to another filesystem keeps everything, and leaves nothing behind', async (context) => {
  needsRoot(context)
  await using files = await startFiles()
  const at = (name: string) => join(files.dir, name)
  const other = `/dev/shm/envd-test-${process.pid}`
  await mkdir(other)
  try {
    if ((await stat(other)).dev === (await stat(files.dir)).dev) context.skip('needs two filesystems')
    await mkdir(at('tree/sub'), { recursive: true })
    await writeFile(at('tree/f'), 'content')
    await writeFile(Buffer.concat([Buffer.from(at('tree/')), Buffer.from([0xff, 0xfe])]), 'odd name')
    await truncate(at('tree/sub/hole').concat(''), 0).catch(() => writeFile(at('tree/sub/hole'), ''))
    await truncate(at('tree/sub/hole'), 5_000_000)
    await symlink('nowhere', at('tree/link'))
    await chmod(at('tree/f'), 0o4751)
    await chown(at('tree/f'), 11, 12)
    await chmod(at('tree/f'), 0o4751)
    await utimes(at('tree/f'), 1e9, 1.1e9)
    await chmod(at('tree/sub'), 0o1700)
    await utimes(at('tree/sub'), 1e9, 1.2e9)
    await files.move(at('tree'), `${other}/deep/tree`)
    const moved = `${other}/deep/tree`
    expect((await stat(`${other}/deep`)).uid).toBe(files.people.ann.uid)
    expect(await readFile(`${moved}/f`, 'utf8')).toBe('content')
    expect(await stat(`${moved}/f`)).toMatchObject({
      uid: 11,
      gid: 12,
      mode: 0o104751,
      mtimeMs: 1.1e12,
      atimeMs: expect.any(Number),
    })
    expect(await stat(`${moved}/sub`)).toMatchObject({ mode: 0o41700, mtimeMs: 1.2e12 })
    const hole = await stat(`${moved}/sub/hole`)
    expect(hole.size).toBe(5_000_000)
    expect(hole.blocks).toBeLessThan(1000)
    expect(await readlink(`${moved}/link`)).toBe('nowhere')
    const names = await readdir(moved, { encoding: 'buffer' })
    expect(names.map((name) => name.toString('hex'))).toContain('fffe')
    expect(await lstat(at('tree')).catch((error: NodeJS.ErrnoException) => error.code)).toBe('ENOENT')
    expect(await readdir(`${other}/deep`)).toEqual(['tree'])
  } finally {
    await rm(other, { recursive: true })
  }
})

test('C16 a move to another filesystem that fails leaves the source, and no copy', async (context) => {
  needsNamespace(context)
  await using files = await startFiles()
  const at = (name: string) => join(files.dir, name)
  await mkdir(at('disk'))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', at('disk')])
  try {
    await mkdir(at('tree'))
    await writeFile(at('tree/f'), Buffer.alloc(3_000_000, 1))
    await expect(files.move(at('tree'), at('disk/tree'))).rejects.toEqual(
      refusal('no_space', /no space left on device$/),
    )
    expect(await readdir(at('disk'))).toEqual([])
    expect((await stat(at('tree/f'))).size).toBe(3_000_000)
    await truncate(at('tree/f'), 10)
    await link(at('tree/f'), at('tree/g'))
    execFileSync('mkfifo', [at('tree/pipe')])
    await expect(files.move(at('tree'), at('disk/tree'))).rejects.toEqual(refusal('internal', /socket, pipe or device/))
    await expect(files.move(files.dir, at('disk/inside'))).rejects.toEqual(refusal('internal', /invalid argument$/))
    await rm(at('tree/pipe'))
    await writeFile(at('disk/file'), '')
    await expect(files.move(at('tree'), at('disk/file'))).rejects.toEqual(refusal('internal', /not a directory$/))
    await files.move(at('tree/f'), at('disk/file'))
    expect((await stat(at('disk/file'))).size).toBe(10)
    expect(await readdir(at('disk'))).toEqual(['file'])
  } finally {
    execFileSync('umount', ['-l', at('disk')])
  }
})

test('C18 Remove takes whole trees, links and not their targets, and does not mind what is missing', async () => {
  await using files = await startFiles()
  const at = (name: string) => join(files.dir, name)
  await mkdir(at('tree/a/b/c'), { recursive: true })
  await writeFile(at('tree/a/f'), '')
  await writeFile(Buffer.concat([Buffer.from(at('tree/')), Buffer.from([0xff])]), '')
  await mkdir(at('target'))
  await writeFile(at('target/keep'), '')
  await symlink(at('target'), at('tree/link'))
  await files.remove(at('tree'))
  await files.remove(at('tree'))
  await files.remove(at('tree/below/nothing'))
  for (const name of ['l1', 'l2']) await symlink('target', at(name))
  await files.remove(at('l1'))
  await files.remove(`${at('l2')}/`)
  expect((await readdir(files.dir)).sort()).toEqual(['group', 'home', 'passwd', 'target'])
  expect(await readdir(at('target'))).toEqual(['keep'])
})

test('C18 Remove refuses a path that ends in a dot, one below a file, and the root', async () => {
  await using files = await startFiles()
  const at = (name: string) => join(files.dir, name)
  await writeFile(at('f'), '')
  for (const path of [`${files.dir}/.`, `${files.dir}/.//`, '.', './', 'x/./.', '~/.'])
    await expect(files.remove(path)).rejects.toEqual(refusal('internal', `RemoveAll ${path}: invalid argument`))
  await expect(files.remove(at('f/x'))).rejects.toEqual(refusal('internal', /not a directory$/))
  for (const root of ['/', '//', '///']) {
    await expect(files.remove(root)).rejects.toEqual(refusal('invalid_argument', /root directory/))
  }
})

test('C15 C18 Remove and Move refuse a path that ends in two dots, and Move one that ends in a dot', async () => {
  await using files = await startFiles()
  await mkdir(join(files.dir, 'a/b'), { recursive: true })
  await mkdir(join(files.people.ann.home, 'sub'), { recursive: true })
  const above = [`${files.dir}/a/b/..`, `${files.dir}/a/b/..//`, '/tmp/..', '..', 'sub/..', 'sub/../', '~/sub/..']
  const reported = (field: string) => refusal('invalid_argument', `${field} must not end in "." or ".."`)
  for (const path of above) {
    await expect(files.remove(path), path).rejects.toEqual(reported('path'))
    await expect(files.move(path, `${files.dir}/moved`), path).rejects.toEqual(reported('source'))
    await expect(files.move(`${files.dir}/a`, path), path).rejects.toEqual(reported('destination'))
  }
  for (const path of [`${files.dir}/a/.`, '.', 'sub/./'])
    await expect(files.move(path, `${files.dir}/moved`), path).rejects.toEqual(reported('source'))
  for (const path of ['a..', '...', '..a', 'a/.b', '.hidden']) await files.remove(path)
  expect(await readdir(join(files.dir, 'a'))).toEqual(['b'])
  expect(await readdir(files.people.ann.home)).toContain('sub')
})

test('C18 of a mount point the contents are deleted', async (context) => {
  needsNamespace(context)
  await using files = await startFiles()
  const at = (name: string) => join(files.dir, name)
  await mkdir(at('disk'))
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', at('disk')])
  try {
    await writeFile(at('disk/f'), '')
    await expect(files.remove(at('disk'))).rejects.toEqual(refusal('internal', /device or resource busy$/))
    expect(await readdir(at('disk'))).toEqual([])
  } finally {
    execFileSync('umount', [at('disk')])
  }
})

test('C19 an empty path removes nothing', async () => {
  await using files = await startFiles()
  await expect(files.remove('')).rejects.toEqual(refusal('invalid_argument', 'path must not be empty'))
  expect((await stat(files.people.ann.home)).isDirectory()).toBe(true)
})

test('C20 every call needs a user that exists', async () => {
  await using files = await startFiles()
  files.defaults.user = 'gone'
  const expected = refusal('unauthenticated', "invalid default user: 'gone'")
  const calls = [files.stat('/'), files.makeDir('/x'), files.move('a', 'b'), files.list('/'), files.remove('')]
  for (const call of calls) await expect(call).rejects.toEqual(expected)
  expect((await files.stat('/', 'ann')).name).toBe('/')
})
