import { chmod, chown, lchown, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { needsRoot } from '../_util/namespace.ts'
import { call } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { type FilesFront, failed, startFilesFront } from '../http/files-front.ts'
import { watchDirectory } from '../watch/watching.ts'
import { type Files, refusal, startFiles } from './files.ts'

beforeEach((context) => needsRoot(context))

const daemon = commonDaemon()

/** What a link on the way is refused with. */
const REFUSED = refusal('permission_denied', /leads through a link that must not be followed/)
const forbidden = (path: string) => failed(403, `path '${path}' leads through a link that must not be followed`)

/** A file of root's in a directory of root's, and a user's link to each. */
async function plant({ people, dir }: Pick<Files | FilesFront, 'people' | 'dir'>) {
  const { uid, gid, home } = people.ann
  await chown(home, uid, gid)
  const closed = join(dir, 'closed')
  await mkdir(closed, { mode: 0o700 })
  const secret = join(closed, 'secret')
  await writeFile(secret, 'secret', { mode: 0o600 })
  const linkTo = async (target: string, path: string, owner = uid) => {
    await symlink(target, path)
    await lchown(path, owner, owner)
    return path
  }
  return {
    uid,
    gid,
    home,
    closed,
    secret,
    linkTo,
    toFile: await linkTo(secret, join(home, 'report.txt')),
    toDirectory: await linkTo(closed, join(home, 'project')),
  }
}

test('an upload does not go through a link of its user to what is not theirs, nor gives it away', async () => {
  await using files = await startFilesFront()
  const { toFile, toDirectory, secret, closed, home, linkTo } = await plant(files)
  const missing = await linkTo(join(closed, 'new'), join(home, 'missing'))
  const chain = await linkTo('report.txt', join(home, 'chain'))
  for (const path of [toFile, `${toDirectory}/secret`, `${toDirectory}/new`, `${toDirectory}/a/b`, missing, chain]) {
    expect(await files.post({ path }, 'x')).toMatchObject(forbidden(path))
  }
  expect(await readdir(closed)).toEqual(['secret'])
  expect(await readFile(secret, 'utf8')).toBe('secret')
  expect(await stat(secret)).toMatchObject({ uid: 0, mode: 0o100600 })
  expect(await files.post({ path: toFile, username: 'root' }, 'x')).toMatchObject({ status: 200 })
})

test('a download, also of parts of a join, does not go through such a link', async () => {
  await using files = await startFilesFront()
  const { toFile, toDirectory, home } = await plant(files)
  for (const path of [toFile, `${toDirectory}/secret`]) expect(await files.get({ path })).toMatchObject(forbidden(path))
  await writeFile(join(home, 'part'), 'part')
  const joined = join(home, 'joined')
  for (const path of [toFile, `${toDirectory}/secret`])
    expect(await files.compose({ source_paths: ['part', path], destination: joined })).toMatchObject(forbidden(path))
  const destination = `${toDirectory}/joined`
  expect(await files.compose({ source_paths: ['part'], destination })).toMatchObject({ status: 403 })
  expect(await readFile(join(home, 'part'), 'utf8')).toBe('part')
})

test('what exists and belongs to another user stays theirs, without rights to run as them', async () => {
  await using files = await startFilesFront()
  const { secret, closed, uid, home } = await plant(files)
  await chmod(secret, 0o6755)
  await files.put(secret, 'written')
  expect(await readFile(secret, 'utf8')).toBe('written')
  expect(await stat(secret)).toMatchObject({ uid: 0, gid: 0, mode: 0o100755 })
  await files.put(join(closed, 'new'), 'made')
  expect((await stat(join(closed, 'new'))).uid).toBe(uid)
  await writeFile(join(home, 'hers'), '')
  await chown(join(home, 'hers'), uid, 0)
  expect(await files.post({ path: join(home, 'hers'), username: 'root' }, 'x')).toMatchObject({ status: 200 })
  expect((await stat(join(home, 'hers'))).uid).toBe(uid)
})

test('directories are neither made, moved, removed, listed nor watched through such a link', async () => {
  await using files = await startFiles()
  const { toDirectory, closed, home } = await plant(files)
  await mkdir(join(closed, 'sub'))
  await writeFile(join(home, 'mine'), '')
  await expect(files.makeDir(`${toDirectory}/new`)).rejects.toEqual(REFUSED)
  await expect(files.makeDir(`${toDirectory}/a/b/c`)).rejects.toEqual(REFUSED)
  await expect(files.move(`${toDirectory}/secret`, join(home, 'stolen'))).rejects.toEqual(REFUSED)
  await expect(files.move(join(home, 'mine'), `${toDirectory}/planted`)).rejects.toEqual(REFUSED)
  await expect(files.remove(`${toDirectory}/secret`)).rejects.toEqual(REFUSED)
  await expect(files.list(toDirectory)).rejects.toEqual(REFUSED)
  await expect(files.list(`${toDirectory}/sub`)).rejects.toEqual(REFUSED)
  await expect(files.stat(`${toDirectory}/secret`)).rejects.toEqual(REFUSED)
  const { uid, gid } = files.people.ann
  await expect(watchDirectory(toDirectory, { actor: { uid, gid } })).rejects.toEqual(REFUSED)
  expect(await readdir(closed)).toEqual(['secret', 'sub'])
  // The link itself is the user's.
  expect(await files.stat(toDirectory)).toMatchObject({ permissions: 'Lrwxrwxrwx' })
  await files.move(toDirectory, join(home, 'renamed'))
  await files.remove(join(home, 'renamed'))
  expect(await readdir(closed)).toEqual(['secret', 'sub'])
})

test('links of root, of a user to their own, and to devices that keep nothing are followed', async () => {
  await using files = await startFilesFront()
  const { home, uid, secret, closed, linkTo, gid } = await plant(files)
  await mkdir(join(home, 'real'))
  await chown(join(home, 'real'), uid, gid)
  await linkTo('real', join(home, 'own'))
  await linkTo(closed, join(home, 'roots'), 0)
  await linkTo('/dev/null', join(home, 'history'))
  await files.put(join(home, 'own/a/f'), 'x')
  expect(await readFile(join(home, 'real/a/f'), 'utf8')).toBe('x')
  await files.put(join(home, 'roots/secret'), 'y')
  expect(await readFile(secret, 'utf8')).toBe('y')
  await files.put(join(home, 'history'), 'z')
})

test('links of others in a directory that all users may write are not followed, their own are', async () => {
  await using files = await startFilesFront()
  const { home, uid, gid, linkTo } = await plant(files)
  const open = join(files.dir, 'open')
  await mkdir(open)
  await chmod(open, 0o1777)
  const other = join(files.dir, 'other')
  await mkdir(other)
  await chown(other, 23_457, 23_457)
  await mkdir(join(home, 'real'))
  await chown(join(home, 'real'), uid, gid)
  const theirs = await linkTo(other, join(open, 'theirs'), 23_457)
  await linkTo(join(home, 'real'), join(open, 'mine'))
  expect(await files.post({ path: `${theirs}/f` }, 'x')).toMatchObject(forbidden(`${theirs}/f`))
  await files.put(join(open, 'mine/f'), 'x')
  expect(await readdir(join(home, 'real'))).toEqual(['f'])
  expect(await readdir(other)).toEqual([])
})

test("no path leads to the daemon's own entries in /proc", async () => {
  await using files = await startFilesFront()
  await using service = await startFiles()
  const { home, linkTo } = await plant(files)
  const environ = await linkTo('/proc/self/environ', join(home, 'environ'))
  const deep = await linkTo('/dev/fd/0', join(home, 'input'), 0)
  const paths = [
    environ,
    deep,
    '/proc/self/environ',
    '/proc/thread-self/environ',
    `/proc/${process.pid}/environ`,
    `/proc/${process.pid}/task/${process.pid}/environ`,
    '/proc/self/fd/0',
    '/proc/self/root/etc/passwd',
    '/proc/self/cwd/package.json',
    '/proc/net/../environ',
    '/proc/1/root/etc/passwd',
    '/dev/stdin',
    '/dev/fd/0',
  ]
  for (const path of paths) {
    for (const username of ['ann', 'root']) {
      expect(await files.get({ path, username }), path).toMatchObject(forbidden(path))
      expect(await files.post({ path, username }, 'x'), path).toMatchObject(forbidden(path))
    }
  }
  await expect(service.stat('/proc/self/environ')).rejects.toEqual(REFUSED)
  await expect(service.list('/proc/self')).rejects.toEqual(REFUSED)
  await expect(service.list('/dev/fd')).rejects.toEqual(REFUSED)
  await expect(service.list('/proc/self/task', 3)).rejects.toEqual(REFUSED)
  expect(await service.stat(await linkTo('/proc/self/exe', join(home, 'exe')))).toMatchObject({
    symlinkTarget: join(home, 'exe'),
  })
  // What is the same for all stays.
  for (const path of ['/proc/mounts', '/proc/net/dev', '/proc/version', '/proc/1/comm'])
    expect(await files.get({ path }), path).toMatchObject({ status: 200, text: expect.stringMatching(/./) })
})

test('a race of links and directories moves nothing out of its place', async () => {
  await using files = await startFilesFront()
  await using service = await startFiles()
  const { home, closed, secret, uid, gid, linkTo } = await plant(files)
  const [here, planted] = [join(home, 'swap'), join(home, 'planted')]
  let over = false
  const swapping = (async () => {
    while (!over) {
      await linkTo(closed, planted)
      await rm(here, { recursive: true, force: true }).catch(() => {})
      // A call may have made the directory meanwhile.
      await rename(planted, here).catch(() => rm(planted))
      await rm(here, { recursive: true, force: true }).catch(() => {})
      await mkdir(here, { recursive: true })
      await chown(here, uid, gid)
    }
  })()
  const calls = Array.from({ length: 200 }, async (_, index) => {
    await files.post({ path: `${here}/secret` }, 'x')
    await files.post({ path: `${here}/made-${index}/f` }, 'x')
    await service.remove(`${here}/secret`).catch(() => {})
    await service.makeDir(`${here}/directory-${index}`).catch(() => {})
    await service.move(`${here}/secret`, join(home, `stolen-${index}`)).catch(() => {})
  })
  await Promise.all(calls)
  over = true
  await swapping
  expect(await readdir(closed)).toEqual(['secret'])
  expect(await readFile(secret, 'utf8')).toBe('secret')
  expect((await stat(secret)).uid).toBe(0)
  const stolen = (await readdir(home)).filter((name) => name.startsWith('stolen'))
  for (const name of stolen) expect(await readFile(join(home, name), 'utf8')).not.toBe('secret')
})

test('events with entries do not look through a link that was planted after the event', async () => {
  await using dir = await makeTmpDir()
  await chmod(dir.path, 0o755)
  const [watched, closed] = [join(dir.path, 'watched'), join(dir.path, 'closed')]
  await mkdir(watched)
  await chown(watched, 1000, 1000)
  await mkdir(closed, { mode: 0o700 })
  await writeFile(join(closed, 'report'), 'of root', { mode: 0o600 })
  const headers = { authorization: `Basic ${btoa('user:')}` }
  const ask = async (method: string, body: object) =>
    (await call(daemon.url, `filesystem.Filesystem/${method}`, body, { headers })).body
  const request = { path: watched, recursive: true, includeEntry: true }
  const begin = async (body: object) => ((await ask('CreateWatcher', body)) as { watcherId: string }).watcherId
  const poll = async (watcherId: string) => {
    const { events = [] } = (await ask('GetWatcherEvents', { watcherId })) as {
      events?: { name: string; entry?: object }[]
    }
    return events
  }
  const watcher = await begin(request)
  // Its events come from the same tree, at the same time.
  const witness = await begin({ ...request, includeEntry: false })
  await mkdir(join(watched, 'd'))
  await writeFile(join(watched, 'd/report'), 'of the user')
  await expect.poll(() => poll(witness)).toContainEqual(expect.objectContaining({ name: 'd/report' }))
  await rename(join(watched, 'd'), join(watched, 'gone'))
  await symlink(closed, join(watched, 'd'))
  await lchown(join(watched, 'd'), 1000, 1000)
  const events = await poll(watcher)
  const reports = events.filter(({ name }) => name === 'd/report')
  expect(reports).not.toEqual([])
  for (const { entry } of reports) expect(entry).toBeUndefined()
  expect(events).toContainEqual(expect.objectContaining({ name: 'gone/report', entry: expect.anything() }))
})
