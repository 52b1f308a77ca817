import { execFileSync } from 'node:child_process'
import { chown, lchown, link, lstat, mkdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { UsageItem } from '../../src/files/disk-usage.ts'
import { readEntryInfo } from '../../src/filesystem/entry.ts'
import { needsNamespace, needsRoot } from '../_util/namespace.ts'
import { refusal } from '../filesystem/files.ts'
import { type Served, serveFiles } from './served.ts'

type SetRequest = Parameters<Served['setAttributes']>[0]
type By = Parameters<Served['setAttributes']>[1]

async function set(files: Served, request: SetRequest, by?: By) {
  let last: { done: boolean; state: unknown } | undefined
  for await (const progress of files.setAttributes(request, by)) last = progress
  return last?.state
}

async function usage(files: Served, request: Parameters<Served['diskUsage']>[0]) {
  const items: UsageItem[] = []
  for await (const some of files.diskUsage(request)) items.push(...some)
  const usages = items.flatMap((item) => (item.kind === 'usage' ? [item.usage] : []))
  const last = items.at(-1)
  if (last?.kind !== 'summary') throw new Error('no summary')
  return { usages: new Map(usages.map((one) => [one.path.toString(), one])), ...last }
}

/** A tree of ann's: a directory with a file, a directory and a link that leads out. */
async function plant(files: Served) {
  const { uid, gid } = files.people.ann
  await mkdir(join(files.home, 'd/e'), { recursive: true })
  await writeFile(join(files.home, 'd/file'), 'text')
  await writeFile(join(files.home, 'outside'), 'text', { mode: 0o600 })
  await symlink('../outside', join(files.home, 'd/link'))
  for (const name of ['d', 'd/e', 'd/file', 'outside']) await chown(join(files.home, name), uid, gid)
  await lchown(join(files.home, 'd/link'), uid, gid)
}

test('permissions, times and metadata are set in a whole tree, and not through links', async () => {
  await using files = await serveFiles()
  await plant(files)
  const modified = { seconds: 5n, nanos: 123_000_000 }
  const request = { path: 'd', recursive: true, mode: 0o640, directoryMode: 0o750, modified, metadata: { k: 'v' } }
  expect(await set(files, request)).toMatchObject({ files: 1n, directories: 2n, links: 1n, leftOut: 0n })
  for (const [name, mode] of [
    ['d', 0o40750],
    ['d/e', 0o40750],
    ['d/file', 0o100640],
  ] as const) {
    expect(await stat(join(files.home, name)), name).toMatchObject({ mode, mtimeMs: 5123 })
    const entry = await readEntryInfo(join(files.home, name), files.people.users, files.people.ann)
    expect(entry.metadata, name).toEqual({ k: 'v' })
  }
  expect((await lstat(join(files.home, 'd/link'))).mtimeMs).toBe(5123)
  expect((await stat(join(files.home, 'outside'))).mode).toBe(0o100600)
  await set(files, { path: 'd/file', removeMetadata: ['k', 'none'] })
  const user = files.people.ann
  expect((await readEntryInfo(join(files.home, 'd/file'), files.people.users, user)).metadata).toEqual({})
})

test('a call removes no more names of metadata than a file can have', async () => {
  await using files = await serveFiles()
  await plant(files)
  const most = Array.from({ length: 256 }, (_, n) => `k${n}`)
  await set(files, { path: 'd', removeMetadata: most })
  const more = set(files, { path: 'd', removeMetadata: [...most, 'k'] })
  await expect(more).rejects.toEqual(refusal('invalid_argument', /257 names, at most 256/))
})

test("what is not the user's is refused, and left out below a directory", async (context) => {
  needsRoot(context)
  await using files = await serveFiles()
  await plant(files)
  await chown(join(files.home, 'd/file'), 0, 0)
  await expect(set(files, { path: 'd/file', mode: 0o666 })).rejects.toEqual(refusal('permission_denied', /d\/file/))
  expect(await set(files, { path: 'd', recursive: true, mode: 0o700 })).toMatchObject({
    leftOut: 1n,
    leftOutPaths: [Buffer.from('file')],
  })
  expect((await stat(join(files.home, 'd/file'))).mode).toBe(0o100644)
})

test('owners are for root, by name and number', async (context) => {
  needsRoot(context)
  await using files = await serveFiles()
  await plant(files)
  await expect(set(files, { path: 'd', user: 'root' })).rejects.toEqual(refusal('permission_denied', /root only/))
  const root = { user: 'root' }
  const path = join(files.home, 'd')
  await set(files, { path, recursive: true, user: '77', group: 'ann' }, root)
  for (const name of ['d', 'd/e', 'd/file', 'd/link'])
    expect(await lstat(join(files.home, name)), name).toMatchObject({ uid: 77, gid: files.people.ann.gid })
  expect((await stat(join(files.home, 'outside'))).uid).toBe(files.people.ann.uid)
  await expect(set(files, { path, user: 'nobody-here' }, root)).rejects.toEqual(refusal('invalid_argument', /no user/))
})

test('attributes that make no sense are refused', async () => {
  await using files = await serveFiles()
  await plant(files)
  for (const [request, kind, message] of [
    [{ path: 'd' }, 'invalid_argument', /nothing to set/],
    [{ path: '', mode: 0o700 }, 'invalid_argument', /must not be empty/],
    [{ path: 'd', mode: 0o4755 }, 'permission_denied', /root only/],
    [{ path: 'd', mode: 0o10000 }, 'invalid_argument', /07777/],
    [{ path: 'none', mode: 0o700 }, 'not_found', /no such file/],
    [{ path: 'd', metadata: { k: 'ü' } }, 'invalid_argument', /non-printable/],
    [{ path: '/proc/sys/kernel/hostname', mode: 0o700 }, 'internal', /read-only/],
  ] as const)
    await expect(set(files, request), request.path).rejects.toEqual(refusal(kind, message))
})

test('the disk usage of a tree is that of du(1), hard links counted once', async () => {
  await using files = await serveFiles()
  await mkdir(join(files.home, 'd/e/f'), { recursive: true })
  await writeFile(join(files.home, 'd/large'), Buffer.alloc(1_000_000))
  await writeFile(join(files.home, 'd/e/small'), 'text')
  await writeFile(join(files.home, 'd/e/f/deep'), Buffer.alloc(50_000))
  await link(join(files.home, 'd/large'), join(files.home, 'd/e/again'))
  execFileSync('truncate', ['-s', '100M', join(files.home, 'd/sparse')])
  await symlink('/etc', join(files.home, 'd/link'))
  const { usages, whole, state } = await usage(files, { path: 'd', depth: 1 })
  const du = (...options: string[]) => {
    const lines = execFileSync('du', [...options, '.'], { cwd: join(files.home, 'd') })
      .toString()
      .trim()
      .split('\n')
    return BigInt(lines.at(-1)?.split('\t')[0] ?? '')
  }
  expect(whole.bytes).toBe(du('-s', '-B1'))
  expect(whole.length).toBe(1_000_000n + 4n + 50_000n + 100n * 1024n * 1024n)
  expect(whole.entries).toBe(8n)
  expect([...usages.keys()]).toEqual(['e', ''])
  expect(state).toMatchObject({ leftOut: 0n, shared: 0n })
  await expect(usage(files, { path: 'none' })).rejects.toEqual(refusal('not_found', /no such file/))
})

test('other filesystems are passed over if that is wanted', async (context) => {
  needsNamespace(context)
  await using files = await serveFiles()
  const other = join(files.home, 'd/other')
  await mkdir(other, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', 'none', other])
  try {
    await writeFile(join(other, 'large'), Buffer.alloc(1_000_000))
    expect((await usage(files, { path: 'd', oneFilesystem: true })).whole.length).toBe(0n)
    expect((await usage(files, { path: 'd' })).whole.length).toBe(1_000_000n)
  } finally {
    execFileSync('umount', [other])
  }
})

test('a disk usage whose client leaves ends, also while it waits with what it has found', async () => {
  await using files = await serveFiles()
  const leave = new AbortController()
  const measuring = files.diskUsage({ path: '/', depth: 100 }, { signal: leave.signal })
  await measuring.next()
  leave.abort(new Error('left'))
  await expect(
    (async () => {
      for await (const _ of measuring);
    })(),
  ).rejects.toThrow('left')
  expect(files.budget.usage().edit).toBe(0)
})
