import { appendFile, chmod, chown, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { needsRoot } from '../_util/namespace.ts'
import { type FilesFront, failed, startFilesFront } from '../http/files-front.ts'
import { watchDirectory } from '../watch/watching.ts'
import { type Files, refusal, startFiles } from './files.ts'

beforeEach((context) => needsRoot(context))

const CREW = 34_567
const DENIED = refusal('permission_denied', /^permission denied: /)

/** A directory that is closed to the user, a file of her group's, and her home. */
async function furnish({ people, dir }: Pick<Files | FilesFront, 'people' | 'dir'>) {
  const { uid, gid, home } = people.ann
  await appendFile(join(dir, 'group'), `crew:x:${CREW}:ann\n`)
  await chown(home, uid, gid)
  const closed = join(dir, 'closed')
  await mkdir(closed, { mode: 0o700 })
  await writeFile(join(closed, 'secret'), 'secret')
  const shared = join(dir, 'shared')
  await writeFile(shared, 'shared')
  await chown(shared, 0, CREW)
  await chmod(shared, 0o660)
  return { uid, gid, home, closed, shared }
}

test('a strict user reads and writes files with their own rights and groups', async () => {
  await using files = await startFilesFront({ strictFileUsers: true })
  const { uid, gid, home, closed, shared } = await furnish(files)
  const denied = (path: string) => failed(403, `permission denied: ${path}`)
  const secret = join(closed, 'secret')
  await writeFile(join(files.dir, 'unreadable'), '', { mode: 0o600 })
  for (const path of [secret, join(files.dir, 'unreadable')]) {
    expect(await files.get({ path })).toMatchObject(denied(path))
    expect(await files.post({ path }, 'x')).toMatchObject(denied(path))
  }
  expect(await files.post({ path: join(closed, 'a/b') }, 'x')).toMatchObject({ status: 403 })
  expect(await files.get({ path: shared })).toMatchObject({ status: 200, text: 'shared' })
  await files.put(shared, 'written')
  expect(await stat(shared)).toMatchObject({ uid: 0, gid: CREW })
  await files.put(join(home, 'a/b'), 'x', { 'x-metadata-k': 'v' })
  for (const path of [join(home, 'a'), join(home, 'a/b')]) expect(await stat(path)).toMatchObject({ uid, gid })
  // What she may read she may read by a link of hers, too.
  await symlink('/etc/passwd', join(home, 'users'))
  expect(await files.get({ path: join(home, 'users') })).toMatchObject({ status: 200 })
  expect(await files.compose({ source_paths: [secret], destination: join(home, 'joined') })).toMatchObject({
    status: 403,
  })
  expect(await files.compose({ source_paths: ['a/b'], destination: join(home, 'joined') })).toMatchObject({
    status: 200,
  })
  expect(await stat(join(home, 'joined'))).toMatchObject({ uid, gid })
})

test('a strict user makes, moves, removes, lists and watches with their own rights', async () => {
  await using files = await startFiles({ strictFileUsers: true })
  const { uid, gid, home, closed } = await furnish(files)
  await writeFile(join(home, 'mine'), '')
  await expect(files.makeDir(join(closed, 'new'))).rejects.toEqual(DENIED)
  await expect(files.makeDir(join(files.dir, 'new'))).rejects.toEqual(DENIED)
  await expect(files.move(join(closed, 'secret'), join(home, 'stolen'))).rejects.toEqual(DENIED)
  const [mine, taken] = [join(home, 'mine'), join(closed, 'mine')]
  await expect(files.move(mine, taken)).rejects.toEqual(
    refusal('permission_denied', `permission denied: rename ${mine} ${taken}`),
  )
  await expect(files.remove(closed)).rejects.toEqual(DENIED)
  await expect(files.list(closed)).rejects.toEqual(DENIED)
  await expect(files.stat(join(closed, 'secret'))).rejects.toEqual(DENIED)
  await expect(watchDirectory(join(closed, 'sub'), { actor: { uid, gid, groups: [gid] } })).rejects.toEqual(DENIED)
  expect(await readdir(closed)).toEqual(['secret'])
  expect((await files.list(files.dir, 2)).map(({ name }) => name)).toEqual([
    'closed',
    'group',
    'home',
    'mine',
    'passwd',
    'shared',
  ])
  expect(await files.makeDir(join(home, 'a/b'))).toMatchObject({ owner: 'ann' })
  await files.move(join(home, 'mine'), join(home, 'a/mine'))
  await files.remove(join(home, 'a'))
  expect(await readdir(home)).toEqual([])
})

test('the threads have the rights of the daemon again afterwards', async () => {
  await using files = await startFilesFront({ strictFileUsers: true })
  const { home, closed } = await furnish(files)
  const calls = Array.from({ length: 100 }, async (_, index) => {
    const mine = await files.post({ path: join(home, `f${index}`) }, 'x')
    const theirs = await files.post({ path: join(closed, `f${index}`) }, 'x')
    const roots = await files.post({ path: join(closed, `r${index}`), username: 'root' }, 'x')
    return [mine.status, theirs.status, roots.status]
  })
  for (const statuses of await Promise.all(calls)) expect(statuses).toEqual([200, 403, 200])
  expect(await readFile('/proc/self/status', 'utf8')).toMatch(/^Uid:\s+0\s+0\s+0\s+0$/m)
  expect((await readdir(closed)).length).toBe(101)
})
