import { execFileSync } from 'node:child_process'
import {
  chmod,
  chown,
  lchown,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { readEntryInfo } from '../../src/filesystem/entry.ts'
import { needsNamespace, needsRoot } from '../_util/namespace.ts'
import { refusal } from '../filesystem/files.ts'
import { type Served, serveFiles } from './served.ts'

type CopyRequest = Parameters<Served['copy']>[0]
type By = Parameters<Served['copy']>[1]

/** The last state of a copy, which has to succeed. */
async function copy(files: Served, request: CopyRequest, by?: By) {
  let last: { done: boolean; state: unknown } | undefined
  for await (const progress of files.copy(request, by)) last = progress
  expect(last?.done).toBe(true)
  expect(files.budget.usage().edit).toBe(0)
  return last?.state
}

const RECURSIVE = { source: 'from', destination: 'to', recursive: true }

test('a copy has content, permissions, times, links, hard links, holes and metadata', async () => {
  await using files = await serveFiles()
  const from = join(files.home, 'from')
  await mkdir(join(from, 'deep/er'), { recursive: true })
  await writeFile(join(from, 'small'), 'text', { mode: 0o640 })
  await writeFile(join(from, 'deep/large'), Buffer.alloc(3_000_000, 'large'))
  await link(join(from, 'deep/large'), join(from, 'deep/er/again'))
  await symlink('../no/where', join(from, 'deep/link'))
  await writeFile(join(from, 'empty'), '')
  await using sparse = await open(join(from, 'sparse'), 'w')
  await sparse.write('x', 20_000_000)
  await sparse.truncate(50_000_000)
  await chmod(join(from, 'deep'), 0o711)
  await utimes(join(from, 'small'), 1, 2)
  await utimes(join(from, 'deep/er'), 3, 4)
  for await (const _ of files.setAttributes({ path: join(from, 'small'), metadata: { k: 'v' } }, { user: 'root' }));

  expect(await copy(files, RECURSIVE)).toMatchObject({ files: 5n, directories: 3n, links: 1n, leftOut: 0n })

  const to = join(files.home, 'to')
  execFileSync('diff', ['-r', '--no-dereference', from, to])
  expect(await stat(join(to, 'small'))).toMatchObject({ mode: 0o100640, mtimeMs: 2000, uid: files.people.ann.uid })
  expect(await stat(join(to, 'deep/er'))).toMatchObject({ mtimeMs: 4000, uid: files.people.ann.uid })
  expect((await stat(join(to, 'deep'))).mode).toBe(0o40711)
  expect(await readlink(join(to, 'deep/link'))).toBe('../no/where')
  expect((await stat(join(to, 'deep/large'))).ino).toBe((await stat(join(to, 'deep/er/again'))).ino)
  expect((await stat(join(to, 'sparse'))).blocks).toBeLessThan(1000)
  const entry = await readEntryInfo(join(to, 'small'), files.people.users, files.people.ann)
  expect(entry.metadata).toEqual({ k: 'v' })
  expect((await readdir(files.home)).sort()).toEqual(['from', 'to'])
})

test('files and links are copied alone, with missing directories above them', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'file'), 'text')
  await symlink('file', join(files.home, 'link'))
  await copy(files, { source: 'file', destination: 'a/b/file' })
  await copy(files, { source: 'link', destination: 'a/link' })
  expect(await readFile(join(files.home, 'a/b/file'), 'utf8')).toBe('text')
  expect(await readlink(join(files.home, 'a/link'))).toBe('file')
  expect((await stat(join(files.home, 'a/b'))).uid).toBe(files.people.ann.uid)
})

test('what stands there is refused or replaced in one step', async () => {
  await using files = await serveFiles()
  for (const [name, text] of [
    ['from', 'new'],
    ['to', 'old'],
  ] as const) {
    await mkdir(join(files.home, name))
    await writeFile(join(files.home, name, 'file'), text)
    await writeFile(join(files.home, name, text), text)
  }
  await expect(copy(files, RECURSIVE)).rejects.toEqual(refusal('already_exists', /exists already/))
  await copy(files, { ...RECURSIVE, replace: true })
  expect((await readdir(join(files.home, 'to'))).sort()).toEqual(['file', 'new'])
  await copy(files, { source: 'from/file', destination: 'to/new', replace: true })
  await expect(copy(files, { source: 'from/file', destination: 'to', replace: true })).rejects.toEqual(
    refusal('invalid_argument', /is a directory/),
  )
  await expect(copy(files, { ...RECURSIVE, destination: 'to/file', replace: true })).rejects.toEqual(
    refusal('invalid_argument', /not a directory/),
  )
  expect((await readdir(files.home)).sort()).toEqual(['from', 'to'])
})

test('a directory is not copied into itself, nor over what it is in', async () => {
  await using files = await serveFiles()
  await mkdir(join(files.home, 'from/in'), { recursive: true })
  await symlink('from/in', join(files.home, 'link'))
  const refused = refusal('invalid_argument', /in each other/)
  for (const destination of ['from', 'from/new', 'from/in/new', 'link/new'])
    await expect(copy(files, { ...RECURSIVE, destination, replace: true })).rejects.toEqual(refused)
  await expect(copy(files, { source: 'from/in', destination: 'from', recursive: true, replace: true })).rejects.toEqual(
    refused,
  )
  expect(await readdir(join(files.home, 'from'), { recursive: true })).toEqual(['in'])
})

test('bad requests are refused', async () => {
  await using files = await serveFiles()
  await mkdir(join(files.home, 'from'))
  execFileSync('mkfifo', [join(files.home, 'pipe')])
  for (const [request, kind, message] of [
    [{ source: 'none', destination: 'to' }, 'not_found', /no such file/],
    [{ source: 'from', destination: 'to' }, 'invalid_argument', /needs recursive/],
    [{ source: 'pipe', destination: 'to' }, 'invalid_argument', /no file, link or directory/],
    [{ source: '', destination: 'to' }, 'invalid_argument', /must not be empty/],
    [{ source: 'from', destination: '' }, 'invalid_argument', /must not be empty/],
    [{ source: 'from', destination: '/', recursive: true, replace: true }, 'invalid_argument', /in each other|cannot/],
    [{ source: 'from', destination: '/proc/x', recursive: true }, 'invalid_argument', /takes no files/],
    [{ source: 'from', destination: 'to', recursive: true, keepOwners: true }, 'permission_denied', /root only/],
  ] as const)
    await expect(copy(files, request)).rejects.toEqual(refusal(kind, message))
  expect((await readdir(files.home)).sort()).toEqual(['from', 'pipe'])
})

test('what is no file is left out and named', async () => {
  await using files = await serveFiles()
  await mkdir(join(files.home, 'from/in'), { recursive: true })
  execFileSync('mkfifo', [join(files.home, 'from/in/pipe')])
  expect(await copy(files, RECURSIVE)).toMatchObject({ leftOut: 1n, leftOutPaths: [Buffer.from('in/pipe')] })
})

test('a copy that is given up, or for which there is no room, leaves nothing', async (context) => {
  needsNamespace(context)
  await using files = await serveFiles()
  await mkdir(join(files.home, 'from'))
  await writeFile(join(files.home, 'from/large'), Buffer.alloc(40_000_000, 'x'))
  const leave = new AbortController()
  const copying = files.copy(RECURSIVE, { signal: leave.signal })
  const first = copying.next()
  leave.abort(new Error('left'))
  await expect(first).rejects.toThrow('left')
  await expect.poll(() => readdir(files.home)).toEqual(['from'])
  const small = join(files.home, 'small')
  await mkdir(small)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=10m', 'none', small])
  try {
    await chown(small, files.people.ann.uid, files.people.ann.gid)
    await expect(copy(files, { ...RECURSIVE, destination: 'small/to' })).rejects.toMatchObject({ kind: 'no_space' })
    expect(await readdir(small)).toEqual([])
  } finally {
    execFileSync('umount', [small])
  }
})

test('a directory that is mounted in itself is refused', async (context) => {
  needsNamespace(context)
  await using files = await serveFiles()
  await mkdir(join(files.home, 'from/in'), { recursive: true })
  execFileSync('mount', ['--bind', join(files.home, 'from'), join(files.home, 'from/in')])
  try {
    await expect(copy(files, RECURSIVE)).rejects.toEqual(refusal('invalid_argument', /is in itself/))
    expect(await readdir(files.home)).toEqual(['from'])
  } finally {
    execFileSync('umount', [join(files.home, 'from/in')])
  }
})

test("no link leads to what is not its owner's, and a copied link is none of root's", async (context) => {
  needsRoot(context)
  await using files = await serveFiles()
  const { uid, gid } = files.people.ann
  const closed = join(files.people.dir, 'closed')
  await mkdir(closed, { mode: 0o700 })
  await writeFile(join(closed, 'secret'), 'secret')
  await symlink(closed, join(files.home, 'planted'))
  await lchown(join(files.home, 'planted'), uid, gid)
  const refused = refusal('permission_denied', /must not be followed/)
  await expect(copy(files, { source: 'planted/secret', destination: 'x' })).rejects.toEqual(refused)
  await writeFile(join(files.home, 'file'), 'text')
  await expect(copy(files, { source: 'file', destination: 'planted/x' })).rejects.toEqual(refused)
  await copy(files, { source: join(files.home, 'planted'), destination: join(files.home, 'by-root') }, { user: 'root' })
  expect((await lstat(join(files.home, 'by-root'))).uid).toBe(uid)
  expect(await readdir(closed)).toEqual(['secret'])
})

test("a copied link that replaces root's file or link is not root's", async (context) => {
  needsRoot(context)
  await using files = await serveFiles()
  const { uid, gid } = files.people.ann
  const at = (name: string) => join(files.home, name)
  await symlink('/root/secret', at('planted'))
  await lchown(at('planted'), uid, gid)
  await writeFile(at('file'), 'of root')
  await symlink('/etc/hostname', at('link'))
  for (const destination of ['file', 'link']) {
    await copy(files, { source: 'planted', destination, replace: true })
    expect(await readlink(at(destination))).toBe('/root/secret')
    expect(await lstat(at(destination))).toMatchObject({ uid, gid })
  }
})

test('root keeps owners and all bits if it wants, a user gets neither', async (context) => {
  needsRoot(context)
  await using files = await serveFiles()
  await mkdir(join(files.home, 'from'))
  const program = join(files.home, 'from/program')
  await writeFile(program, 'x')
  await chown(program, 7, 8)
  await chmod(program, 0o4755)
  await copy(files, RECURSIVE)
  expect(await stat(join(files.home, 'to/program'))).toMatchObject({ uid: files.people.ann.uid, mode: 0o100755 })
  const [source, destination] = [join(files.home, 'from'), join(files.home, 'kept')]
  await copy(files, { source, destination, recursive: true, keepOwners: true }, { user: 'root' })
  expect(await stat(join(destination, 'program'))).toMatchObject({ uid: 7, gid: 8, mode: 0o104755 })
})

test('a strict user copies what they may read, to where they may write', async (context) => {
  needsRoot(context)
  await using files = await serveFiles({ strictFileUsers: true })
  const { uid, gid } = files.people.ann
  await mkdir(join(files.home, 'from'))
  await writeFile(join(files.home, 'from/secret'), 'secret', { mode: 0o600 })
  await expect(copy(files, RECURSIVE)).rejects.toEqual(refusal('permission_denied', /from\/secret/))
  expect(await readdir(files.home)).toEqual(['from'])
  await chown(join(files.home, 'from/secret'), uid, gid)
  await copy(files, RECURSIVE)
  expect(await stat(join(files.home, 'to/secret'))).toMatchObject({ uid, gid, mode: 0o100600 })
  await expect(copy(files, { ...RECURSIVE, destination: '/root/to' })).rejects.toMatchObject({
    kind: 'permission_denied',
  })
})

test('a copy is refused where its memory is spent', async () => {
  await using files = await serveFiles({ budget: createByteBudget(1024 * 1024) })
  await mkdir(join(files.home, 'from'))
  await expect(copy(files, RECURSIVE)).rejects.toMatchObject({ kind: 'budget_spent' })
  await rm(join(files.home, 'from'), { recursive: true })
})
