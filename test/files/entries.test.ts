import { execFileSync } from 'node:child_process'
import { chown, lchown, lstat, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { needsRoot } from '../_util/namespace.ts'
import { refusal } from '../filesystem/files.ts'
import { type Served, serveFiles } from './served.ts'

async function sums(files: Served, path: string) {
  const lines: string[] = []
  let summary: { sha256: string; files: number; bytes: number; leftOut: number } | undefined
  for await (const items of files.checksum({ path }))
    for (const item of items) {
      if (item.kind === 'file') lines.push(`${item.sha256.toString('hex')}  ${item.path.toString()}`)
      if (item.kind === 'summary') summary = { ...item, sha256: item.sha256.toString('hex') }
    }
  expect(files.budget.usage().edit).toBe(0)
  return { lines, summary }
}

test('checksums are those of sha256sum(1), of files of every size and of their manifest', async () => {
  await using files = await serveFiles()
  await mkdir(join(files.home, 'd/e'), { recursive: true })
  for (const [name, size] of [
    ['empty', 0],
    ['d/small', 65_536],
    ['d/large', 65_537],
    ['d/e/larger', 3_000_001],
    ['z', 5],
  ] as const)
    await writeFile(join(files.home, name), Buffer.alloc(size, name))
  await symlink('/etc/passwd', join(files.home, 'link'))
  execFileSync('mkfifo', [join(files.home, 'd/pipe')])
  const { lines, summary } = await sums(files, '.')
  const names = ['empty', 'z', 'd/large', 'd/small', 'd/e/larger']
  const manifest = execFileSync('sha256sum', names, { cwd: files.home }).toString()
  expect(`${lines.join('\n')}\n`).toBe(manifest)
  const whole = execFileSync('sha256sum', { input: manifest }).toString().slice(0, 64)
  expect(summary).toMatchObject({ sha256: whole, files: 5, bytes: 65_536 + 65_537 + 3_000_001 + 5, leftOut: 2 })
  for (const name of names) {
    const [sum = ''] = manifest.split('\n').filter((line) => line.endsWith(`  ${name}`))
    expect((await sums(files, name)).summary).toMatchObject({ sha256: sum.slice(0, 64), files: 1, leftOut: 0 })
  }
})

test('a checksum of what is not there, no file or not to be read is refused, and one that is left ends', async () => {
  await using files = await serveFiles()
  execFileSync('mkfifo', [join(files.home, 'pipe')])
  await expect(sums(files, 'missing')).rejects.toEqual(refusal('not_found', /does not exist/))
  await expect(sums(files, 'pipe')).rejects.toEqual(refusal('invalid_argument', /not a regular file/))
  await expect(sums(files, '/proc/self')).rejects.toEqual(refusal('permission_denied', /must not be followed/))
  for (const name of ['a', 'b']) await writeFile(join(files.home, name), Buffer.alloc(5_000_000))
  const leave = new AbortController()
  const reading = files.checksum({ path: '.' }, { signal: leave.signal })
  const first = reading.next()
  leave.abort(new Error('left'))
  await expect(first).rejects.toThrow('left')
  expect(files.budget.usage().edit).toBe(0)
})

test('links are made for their user, with missing directories, and read', async () => {
  await using files = await serveFiles()
  await files.symlink({ target: '../no/where', path: 'd/link' })
  expect(await readlink(join(files.home, 'd/link'))).toBe('../no/where')
  expect((await lstat(join(files.home, 'd/link'))).uid).toBe(files.people.ann.uid)
  expect(await files.readLink({ path: 'd/link' })).toMatchObject({ target: '../no/where' })
  await symlink(Buffer.from([0x61, 0xff]), join(files.home, 'odd'))
  const odd = await files.readLink({ path: 'odd' })
  expect([odd.target, Buffer.from(odd.rawTarget ?? [])]).toEqual(['a\ufffd', Buffer.from([0x61, 0xff])])
  await expect(files.symlink({ target: 'x', path: 'd/link' })).rejects.toEqual(
    refusal('already_exists', /exists already/),
  )
  await expect(files.symlink({ target: '', path: 'x' })).rejects.toEqual(refusal('invalid_argument', /target/))
  await expect(files.symlink({ target: 'x', path: '' })).rejects.toEqual(refusal('invalid_argument', /path/))
  await expect(files.readLink({ path: 'd' })).rejects.toEqual(refusal('invalid_argument', /not a link/))
  await expect(files.readLink({ path: 'missing' })).rejects.toEqual(refusal('not_found', /no such file/))
  await expect(files.readLink({ path: `/proc/${process.pid === 1 ? 2 : 1}/exe` })).rejects.toMatchObject({
    kind: 'permission_denied',
  })
})

test('a file is made shorter and longer in place', async () => {
  await using files = await serveFiles()
  const path = join(files.home, 'f')
  await writeFile(path, 'content')
  const before = await stat(path)
  const { etag } = await files.truncate({ path: 'f', size: 3n })
  expect(await readFile(path, 'utf8')).toBe('con')
  expect((await files.readLines({ path: 'f' })).etag).toBe(etag)
  await files.truncate({ path: 'f', size: 5n })
  expect(await readFile(path, 'utf8')).toBe('con\0\0')
  expect((await stat(path)).ino).toBe(before.ino)
  await expect(files.truncate({ path: 'missing' })).rejects.toEqual(refusal('not_found', /does not exist/))
  await expect(files.truncate({ path: '.' })).rejects.toEqual(refusal('invalid_argument', /directory/))
  await expect(files.truncate({ path: 'f', size: 2n ** 63n })).rejects.toEqual(refusal('invalid_argument', /that long/))
  await expect(files.truncate({ path: '/dev/null' })).rejects.toEqual(refusal('invalid_argument', /not a regular file/))
  expect(await readdir(files.home)).toEqual(['f'])
})

test('none of them is led through a link that was planted, nor does more than a strict user may', async (context) => {
  needsRoot(context)
  for (const strictFileUsers of [false, true]) {
    await using files = await serveFiles({ strictFileUsers })
    const closed = join(files.people.dir, 'closed')
    await mkdir(closed, { mode: 0o700 })
    await writeFile(join(closed, 'secret'), 'secret', { mode: 0o600 })
    await symlink('secret', join(closed, 'link'))
    await symlink(closed, join(files.home, 'dir'))
    await lchown(join(files.home, 'dir'), files.people.ann.uid, files.people.ann.gid)
    for (const path of ['dir', ...(strictFileUsers ? [closed] : [])]) {
      const refused = expect.objectContaining({ kind: 'permission_denied' })
      await expect(sums(files, path)).rejects.toEqual(refused)
      await expect(files.symlink({ target: 'x', path: `${path}/new` })).rejects.toEqual(refused)
      await expect(files.readLink({ path: `${path}/link` })).rejects.toEqual(refused)
      await expect(files.truncate({ path: `${path}/secret` })).rejects.toEqual(refused)
    }
    expect(await readdir(closed)).toEqual(['link', 'secret'])
    await chown(files.home, 0, 0)
    const making = files.symlink({ target: 'x', path: 'new' })
    if (strictFileUsers) await expect(making).rejects.toMatchObject({ kind: 'permission_denied' })
    else await making
  }
})
