import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { chmod, chown, lchown, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { needsRoot } from '../_util/namespace.ts'
import { call } from '../_util/rpc.ts'
import { sharedDaemon } from '../_util/shared-daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const daemon = sharedDaemon()

interface Answer {
  readonly changes?: readonly { path: string; types: readonly string[]; rawPath?: string; entry?: { size?: string } }[]
  readonly token: string
  readonly unknown?: boolean
  readonly reason?: string
  readonly more?: boolean
}

async function changes(request: object, { url = daemon.url, user = '' } = {}): Promise<Answer> {
  const headers = user === '' ? {} : { authorization: `Basic ${btoa(`${user}:`)}` }
  const { status, body } = await call(url, 'files.v1.Files/Changes', request, { headers })
  if (status !== 200) throw Object.assign(new Error(JSON.stringify(body)), body)
  return body as Answer
}

/** As `CREATE WRITE path`. */
const shown = ({ changes: all = [] }: Answer) =>
  all.map(({ path, types }) => [...types.map((type) => type.replace('EVENT_TYPE_', '')), path].join(' '))

test('a token brings what has happened since, each path once with what happened last at the end', async () => {
  await using dir = await makeTmpDir()
  const request = { path: dir.path, recursive: true }
  const first = await changes(request)
  expect(first).toEqual({ token: expect.stringMatching(/^\w+\.0$/) })
  mkdirSync(join(dir.path, 'd'))
  writeFileSync(join(dir.path, 'd/new'), 'a')
  writeFileSync(join(dir.path, 'gone'), 'a')
  rmSync(join(dir.path, 'gone'))
  const second = await changes({ ...request, token: first.token })
  expect(shown(second)).toEqual(['CREATE d', expect.stringMatching(/^CREATE.* d\/new$/), 'CREATE WRITE REMOVE gone'])
  chmodSync(join(dir.path, 'd/new'), 0o600)
  expect(shown(await changes({ ...request, token: second.token }))).toEqual(['CHMOD d/new'])
})

test('an answer that was lost comes again until its token is used', async () => {
  await using dir = await makeTmpDir()
  const request = { path: dir.path }
  const { token } = await changes(request)
  writeFileSync(join(dir.path, 'a'), '')
  const lost = await changes({ ...request, token })
  writeFileSync(join(dir.path, 'b'), '')
  expect(await changes({ ...request, token })).toEqual({ ...lost, more: true })
  const next = await changes({ ...request, token: lost.token })
  expect(shown(next)).toEqual(['CREATE b'])
  expect(await changes({ ...request, token: next.token })).toEqual({ token: next.token })
  expect(await changes({ ...request, token })).toMatchObject({ unknown: true, reason: expect.stringMatching(/token/) })
})

test('more than the limit comes in the next answers, and none is lost', async () => {
  await using dir = await makeTmpDir()
  const request = { path: dir.path, limit: 30 }
  let { token } = await changes(request)
  for (let n = 0; n < 100; n++) writeFileSync(join(dir.path, `f${n}`), '')
  const found: string[] = []
  for (let more = true; more; ) {
    const answer = await changes({ ...request, token })
    found.push(...shown(answer))
    more = answer.more === true
    token = answer.token
    writeFileSync(join(dir.path, 'f99'), '')
  }
  expect(found.slice(0, 99)).toEqual(Array.from({ length: 99 }, (_, n) => `CREATE f${n}`))
  expect(found[99]).toMatch(/^CREATE.* f99$/)
})

test('an answer waits for a change, and for no longer than it is told', async () => {
  await using dir = await makeTmpDir()
  const request = { path: dir.path, waitMs: 60_000 }
  const { token } = await changes(request)
  const waiting = changes({ ...request, token, includeEntry: true })
  const short = await changes({ ...request, token, waitMs: 50 })
  expect(short).toEqual({ token })
  writeFileSync(join(dir.path, 'a'), 'text')
  expect(await waiting).toMatchObject({ changes: [{ path: 'a', entry: { name: 'a' } }] })
})

test('what is left out is not reported, and names that are not UTF-8 come as bytes', async () => {
  await using dir = await makeTmpDir()
  const request = { path: dir.path, recursive: true, exclude: ['node_modules/', '*.log'] }
  const { token } = await changes(request)
  await mkdir(join(dir.path, 'node_modules/x'), { recursive: true })
  await writeFile(join(dir.path, 'a.log'), '')
  const odd = Buffer.concat([Buffer.from(`${dir.path}/`), Buffer.from([0xff, 0x0a, 0x41])])
  await mkdir(odd)
  expect((await changes({ ...request, token })).changes).toEqual([
    { path: '\ufffd\nA', rawPath: Buffer.from([0xff, 0x0a, 0x41]).toString('base64'), types: ['EVENT_TYPE_CREATE'] },
  ])
})

test("a token of something else, of somebody else or of no cursor is unknown, and so is another's directory", async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'watched')
  await mkdir(path)
  const unknown = { unknown: true, reason: expect.stringMatching(/./), token: expect.stringMatching(/\.0$/) }
  for (const token of ['x', 'ab.0', `${'f'.repeat(30)}.1`, '../../etc', '\u0000'])
    expect(await changes({ path, token }), token).toEqual(unknown)
  const { token } = await changes({ path })
  expect(await changes({ path, token, recursive: true })).toEqual(unknown)
  const moved = await changes({ path })
  await rename(path, join(dir.path, 'elsewhere'))
  await expect(changes({ path, token: moved.token })).rejects.toMatchObject({ code: 'not_found' })
  await mkdir(path)
  expect(await changes({ path, token: moved.token })).toEqual(unknown)
  const back = await changes({ path })
  await rename(path, join(dir.path, 'away'))
  await rename(join(dir.path, 'away'), path)
  expect(await changes({ path, token: back.token })).toEqual({ ...unknown, reason: expect.stringMatching(/moved/) })
  const link = join(dir.path, 'link')
  await symlink(path, link)
  const led = await changes({ path: link })
  await rm(link)
  await symlink(join(dir.path, 'elsewhere'), link)
  expect(await changes({ path: link, token: led.token })).toEqual(unknown)
})

test('a call that waits for a directory that goes ends with not_found', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'd')
  await mkdir(path)
  const { token } = await changes({ path })
  const waiting = changes({ path, token, waitMs: 60_000 })
  waiting.catch(() => {})
  await changes({ path, token, waitMs: 50 })
  await rm(path, { recursive: true })
  await expect(waiting).rejects.toMatchObject({ code: 'not_found' })
})

test('bad requests are refused', async () => {
  await using dir = await makeTmpDir()
  await writeFile(join(dir.path, 'file'), '')
  for (const [request, code] of [
    [{ path: join(dir.path, 'none') }, 'not_found'],
    [{ path: join(dir.path, 'file') }, 'invalid_argument'],
    [{ path: `${dir.path}/\0` }, 'invalid_argument'],
    [{ path: dir.path, waitMs: 60_001 }, 'invalid_argument'],
    [{ path: dir.path, limit: 10_001 }, 'invalid_argument'],
    [{ path: dir.path, limit: 257, includeEntry: true }, 'invalid_argument'],
    [{ path: dir.path, token: 'x'.repeat(257) }, 'invalid_argument'],
    [{ path: dir.path, exclude: Array.from({ length: 65 }, () => 'a') }, 'invalid_argument'],
    [{ path: dir.path, exclude: ['a'.repeat(2049)] }, 'invalid_argument'],
  ] as const)
    await expect(changes(request), JSON.stringify(request).slice(0, 80)).rejects.toMatchObject({ code })
})

test('after a crash of the daemon the token is unknown', async () => {
  await using dir = await makeTmpDir()
  await using after = await startDaemon({ restarts: true })
  const { token } = await changes({ path: dir.path }, after)
  const { pid } = after
  process.kill(pid, 'SIGKILL')
  const answer = await vi.waitFor(() => changes({ path: dir.path, token }, after), { timeout: 15_000 })
  expect(answer).toMatchObject({ unknown: true })
  writeFileSync(join(dir.path, 'a'), '')
  expect(shown(await changes({ path: dir.path, token: answer.token }, after))).toEqual(['CREATE a'])
})

test("after an overflow of the kernel's queue it is unknown what has changed, once", async () => {
  await using dir = await makeTmpDir()
  await using own = await startDaemon()
  const limit = Number(await readFile('/proc/sys/fs/inotify/max_queued_events', 'latin1'))
  const request = { path: dir.path }
  const { token } = await changes(request, own)
  for (const name of ['a', 'b']) writeFileSync(join(dir.path, name), '')
  process.kill(own.pid, 'SIGSTOP')
  for (let n = 0; n <= limit / 2; n++) for (const name of ['a', 'b']) chmodSync(join(dir.path, name), 0o600 + (n & 1))
  process.kill(own.pid, 'SIGCONT')
  const answer = await changes({ ...request, token }, own)
  expect(answer).toMatchObject({ unknown: true, reason: expect.stringMatching(/events/) })
  renameSync(join(dir.path, 'a'), join(dir.path, 'c'))
  expect(shown(await changes({ ...request, token: answer.token }, own))).toEqual(['RENAME a', 'CREATE c'])
}, 120_000)

test('nobody is led through a link to what is not its owners, and a strict user sees what they may enter', async (context) => {
  needsRoot(context)
  await using dir = await makeTmpDir()
  await chmod(dir.path, 0o755)
  const [closed, home] = [join(dir.path, 'closed'), join(dir.path, 'home')]
  await mkdir(join(closed, 'd'), { recursive: true })
  await mkdir(home)
  await chmod(closed, 0o700)
  await chown(home, 1000, 1000)
  await symlink(closed, join(home, 'link'))
  await lchown(join(home, 'link'), 1000, 1000)
  const user = { user: 'user' }
  await expect(changes({ path: join(home, 'link') }, user)).rejects.toMatchObject({ code: 'permission_denied' })
  const { token } = await changes({ path: home }, user)
  expect(await changes({ path: home, token })).toMatchObject({ unknown: true })
  await using strict = await startDaemon({ args: ['-strict-file-users'] })
  for (const path of [closed, join(closed, 'd')])
    await expect(changes({ path }, { url: strict.url, ...user }), path).rejects.toMatchObject({
      code: 'permission_denied',
    })
})
