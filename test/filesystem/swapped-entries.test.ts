import { execFile } from 'node:child_process'
import { chmod, chown, lchown, lstat, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { asUser, call, open } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { type MadeEntry, tarOf } from '../archives/make-tar.ts'

beforeEach((context) => needsNamespace(context))

const USER = 1000
const BY_USER = { headers: asUser('user') }
/** On another filesystem than the directories of the tests. */
const SOURCES = '/home/user/sources'
/** What a daemon that cannot act as a user takes for new is not as old as this. */
const OLD_MS = 100

const stack = new AsyncDisposableStack()
let daemon: Daemon
let unable: Daemon

beforeAll(async () => {
  const built = stack.use(await makeTmpDir(0o755))
  const library = join(built.path, 'swapping.so')
  const source = join(import.meta.dirname, 'fixtures/swapping.c')
  await promisify(execFile)(process.env['CC'] ?? 'cc', ['-O1', '-shared', '-fPIC', '-o', library, source])
  daemon = stack.use(await startDaemon({ env: { LD_PRELOAD: library } }))
  unable = stack.use(await startDaemon({ env: { LD_PRELOAD: library, NO_SETFSUID: '1' } }))
})
afterAll(() => stack.disposeAsync())

type Act = (at: (name: string) => string, url: string) => Promise<unknown>

const move =
  (name: string): Act =>
  (at, url) =>
    call(url, 'filesystem.Filesystem/Move', { source: join(SOURCES, name), destination: at('new') }, BY_USER)
const copy =
  (name: string): Act =>
  async (at, url) => {
    const request = { source: join(SOURCES, name), destination: at('new'), recursive: true }
    await (await open(url, 'files.v1.Files/Copy', request, BY_USER)).rest()
  }
const unpack =
  (mode: string, ...entries: MadeEntry[]): Act =>
  (at, url) => {
    const path = mode === 'replace' ? at('new') : at('.')
    const query = new URLSearchParams({ path, mode, username: 'user' })
    const headers = { 'content-type': 'application/x-tar' }
    return sendWhole(`${url}/files?${query}`, { method: 'POST', headers, body: tarOf(...entries) })
  }

const directories: [string, Act][] = [
  ['MakeDir', (at, url) => call(url, 'filesystem.Filesystem/MakeDir', { path: at('new') }, BY_USER)],
  ['a move to another filesystem', move('directory')],
  ['a copy', copy('directory')],
  ['an archive in place of a directory', unpack('replace', { name: 'x' })],
  ['a directory in an archive', unpack('overwrite', { name: 'new/', type: '5' })],
  ['a parent of a file in an archive', unpack('overwrite', { name: 'new/x' })],
]
const links: [string, Act][] = [
  ['Symlink', (at, url) => call(url, 'files.v1.Files/Symlink', { path: at('new'), target: 'x' }, BY_USER)],
  ['a move to another filesystem', move('link')],
  ['a copy', copy('link')],
  ['a link in an archive', unpack('overwrite', { name: 'new', type: '2', link: 'x' })],
]

/** A directory of the user's, in which an act makes `new`. */
async function place() {
  const dir = await makeTmpDir(0o755)
  const at = (name: string) => join(dir.path, name)
  await lchown(dir.path, USER, USER)
  await mkdir(join(SOURCES, 'directory'), { recursive: true })
  await symlink('x', join(SOURCES, 'link'))
  for (const name of ['.', 'directory', 'link']) await lchown(join(SOURCES, name), USER, USER)
  return {
    at,
    async [Symbol.asyncDispose]() {
      await rm(SOURCES, { recursive: true, force: true })
      await dir[Symbol.asyncDispose]()
    },
  }
}

/** Entries after an act during which something of root's takes the place of what is made. */
async function entriesAfter(make: (path: string) => Promise<void>, act: Act, by: Daemon) {
  await using dir = await place()
  await make(dir.at('of-root'))
  const { ino, birthtimeMs } = await lstat(dir.at('of-root'))
  await expect.poll(() => Date.now() - birthtimeMs).toBeGreaterThan(OLD_MS)
  await act(dir.at, by.url)
  const status = async (name: string) => ({ name, status: await lstat(dir.at(name)) })
  const entries = await Promise.all((await readdir(dir.at('.'))).map(status))
  return { others: entries.filter((e) => e.status.ino !== ino), old: entries.filter((e) => e.status.ino === ino) }
}

async function makeSecretDirectory(path: string) {
  await mkdir(path, { mode: 0o700 })
  await writeFile(join(path, 'secret'), '')
}

const makeSecret = (path: string) => writeFile(path, 'secret', { mode: 0o600 })

test.for(directories)("%s gives away no directory of root's that takes the place of the new one", async ([, act]) => {
  for (const by of [daemon, unable]) {
    const { old } = await entriesAfter(makeSecretDirectory, act, by)
    for (const { status } of old) expect(status).toMatchObject({ uid: 0, gid: 0, mode: 0o40700 })
  }
})

test.for(links)(
  "%s gives away no file that takes the place of the new link, which is never root's",
  async ([, act]) => {
    for (const by of [daemon, unable]) {
      const { old, others } = await entriesAfter(makeSecret, act, by)
      expect(old.map(({ status }) => [status.uid, status.mode])).toEqual([[0, 0o100600]])
      // Where the daemon cannot act as the user, a link that is moved away at once stays root's.
      if (by === daemon) for (const { status } of others) expect(status).toMatchObject({ uid: USER, gid: USER })
    }
  },
)

test.for([...directories, ...links])('%s makes what is its user’s, also in a directory of a group', async ([, act]) => {
  for (const by of [daemon, unable]) {
    await using dir = await place()
    await chown(dir.at('.'), USER, 7)
    await chmod(dir.at('.'), 0o2755)
    await act(dir.at, by.url)
    expect(await lstat(dir.at('new'))).toMatchObject({ uid: USER, gid: USER })
  }
})
