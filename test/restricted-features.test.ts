import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { type Daemon, startDaemon } from './_util/daemon.ts'
import { type Headers, sendWhole } from './_util/http.ts'
import { inNamespace } from './_util/namespace.ts'
import { RESTRICTIONS, restricted } from './_util/restricted.ts'
import { asUser, call, open, shell } from './_util/rpc.ts'
import { makeTmpDir } from './_util/tmp-dir.ts'
import { startPuppet } from './ports/puppet.ts'

/** What the work of one user is made with. */
interface Work {
  readonly daemon: Daemon
  /** An empty directory that the user may write. */
  readonly directory: string
  readonly user: string
}

const launcher = fileURLToPath(new URL('../scripts/envd', import.meta.url))

const PIECE = { 'tus-resumable': '1.0.0', 'content-type': 'application/offset+octet-stream' }

test.skipIf(!inNamespace).each(RESTRICTIONS)(
  'D7 root without %s uploads in pieces, packs, edits, searches, copies, watches, keeps jobs and terminals, and outlives a crash (skipped outside of the namespace)',
  { timeout: 60_000 },
  async (_name, others, restrictions) => {
    await using daemon = await startDaemon({ ...restricted(...restrictions), restarts: true })
    // Without this one files of others are closed to it as to any user.
    const forOthers = others === 'all' && !restrictions.includes('cap=dac_override')
    for (const user of forOthers ? ['root', 'user'] : ['root']) {
      await using directory = await makeTmpDir(0o777)
      const work = { daemon, directory: directory.path, user }
      await uploadsInPieces(work)
      await packsAndUnpacks(work)
      await editsAndSearches(work)
      await changesTrees(work)
      await watchesDirectories(work)
      await keepsJobs(work)
      await keepsTerminals(work)
    }
    await relaysPorts(daemon)
    await outlivesCrash(daemon)
  },
)

test.skipIf(!inNamespace)(
  'D7 what root may not give to others is refused without a trace (skipped outside of the namespace)',
  { timeout: 60_000 },
  async () => {
    const inUserNamespace = { launch: ['unshare', '-Ur', launcher] as const }
    for (const options of [
      restricted('cap=chown'),
      restricted('cap=all'),

      inUserNamespace,
    ]) {
      await using daemon = await startDaemon(options)
      await using directory = await makeTmpDir(0o777)
      await refusesFiles({ daemon, directory: directory.path, user: 'user' })
    }
  },
)

const target = ({ daemon, user }: Work, path: string, query: Record<string, string>) =>
  `${daemon.url}${path}?${new URLSearchParams({ username: user, ...query })}`

async function uploadsInPieces(work: Work): Promise<void> {
  const path = join(work.directory, 'pieces')
  const headers = { ...PIECE, 'upload-length': '6', 'x-metadata-kind': 'test' }
  const made = await sendWhole(target(work, '/uploads', { path }), { method: 'POST', headers })
  expect(made).toMatchObject({ status: 201 })
  const url = `${work.daemon.url}${made.headers['location']}`
  const piece = (offset: number, body: string) =>
    sendWhole(url, { method: 'PATCH', headers: { ...PIECE, 'upload-offset': String(offset) }, body })
  expect(await piece(0, 'abc')).toMatchObject({ status: 204, headers: { 'upload-offset': '3' } })
  expect(await piece(3, 'def')).toMatchObject({ status: 204, headers: { etag: expect.any(String) } })
  expect(await readFile(path, 'utf8')).toBe('abcdef')
  const { body } = await files(work, 'filesystem.Filesystem/Stat', { path })
  expect(body).toMatchObject({ entry: { size: '6', owner: work.user, metadata: { kind: 'test' } } })
  for (const mode of ['atomic', 'create', 'overwrite']) {
    const file = mode === 'create' ? `${path}-new` : path
    const octets = { 'content-type': 'application/octet-stream' }
    const sent = { method: 'POST', headers: octets, body: mode }
    expect(await sendWhole(target(work, '/files', { path: file, mode }), sent)).toMatchObject({ status: 200 })
    expect(await readFile(file, 'utf8')).toBe(mode)
  }
}

async function packsAndUnpacks(work: Work): Promise<void> {
  const tree = join(work.directory, 'tree')
  await mkdir(join(tree, 'sub'), { recursive: true })
  await writeFile(join(tree, 'sub', 'small'), 'small')
  await writeFile(join(tree, 'large'), Buffer.alloc(300_000, 'x'))
  for (const [format, type] of [
    ['tar', 'application/x-tar'],
    ['tar.zst', 'application/zstd'],
    ['zip', 'application/zip'],
  ] as const) {
    const packed = await sendWhole(target(work, '/files', { path: tree, format }))
    expect({ format, status: packed.status }).toEqual({ format, status: 200 })
    for (const mode of ['overwrite', 'replace', 'create']) {
      const path = join(work.directory, `${format}-${mode === 'create' ? 'new' : 'old'}`)
      const sent = { method: 'POST', headers: { 'content-type': type }, body: packed.body }
      const answer = await sendWhole(target(work, '/files', { path, mode }), sent)
      expect({ format, mode, status: answer.status, text: answer.text }).toMatchObject({ status: 200 })
      expect(await readFile(join(path, 'sub', 'small'), 'utf8')).toBe('small')
      expect((await stat(join(path, 'large'))).size).toBe(300_000)
    }
  }
}

async function editsAndSearches(work: Work): Promise<void> {
  const path = join(work.directory, 'edited')
  const written = await files(work, 'files.v1.Files/Edit', { files: [{ path, text: 'one\ntwo\n' }] })
  expect(written).toMatchObject({ status: 200 })
  const replacements = { replacements: [{ oldText: 'two', newText: 'three' }] }
  expect(await files(work, 'files.v1.Files/Edit', { files: [{ path, replacements }] })).toMatchObject({ status: 200 })
  const lines = await files(work, 'files.v1.Files/ReadLines', { path })
  expect(lines.body).toMatchObject({ lines: [{ text: 'one' }, { text: 'three' }] })
  expect(await files(work, 'files.v1.Files/Undo', {})).toMatchObject({ status: 200 })
  expect(await readFile(path, 'utf8')).toBe('one\ntwo\n')
  const found = await stream(work, 'Find', { path: work.directory, scope: { globs: ['edited'] } })
  expect(found).toMatchObject([{ file: { path } }, { summary: { files: '1' } }])
  const lined = await stream(work, 'Grep', { path: work.directory, pattern: '^tw' })
  expect(lined).toContainEqual({ line: expect.objectContaining({ path, text: 'two' }) })
  const sums = await stream(work, 'Checksum', { path })
  const sha256 = createHash('sha256').update('one\ntwo\n').digest('base64')
  expect(sums).toContainEqual({ file: expect.objectContaining({ sha256 }) })
}

async function changesTrees(work: Work): Promise<void> {
  const [source, destination] = [join(work.directory, 'tree'), join(work.directory, 'copy')]
  const copied = await stream(work, 'Copy', { source, destination, recursive: true })
  expect(copied.at(-1)).toMatchObject({ summary: { files: '2', directories: '2' } })
  const attributes = {
    path: destination,
    recursive: true,
    mode: 0o640,
    directoryMode: 0o750,
    metadata: { a: 'b' },
  }
  const set = await stream(work, 'SetAttributes', attributes)
  expect(set.at(-1)).toMatchObject({ summary: { entries: '4' } })
  const { body } = await files(work, 'filesystem.Filesystem/Stat', { path: join(destination, 'large') })
  expect(body).toMatchObject({ entry: { mode: 0o640, metadata: { a: 'b' } } })
  const used = await stream(work, 'DiskUsage', { path: destination })
  expect(used.at(-1)).toMatchObject({ summary: { entries: '4' } })
  const link = join(work.directory, 'link')
  expect(await files(work, 'files.v1.Files/Symlink', { target: 'edited', path: link })).toMatchObject({ status: 200 })
  expect((await files(work, 'files.v1.Files/ReadLink', { path: link })).body).toEqual({ target: 'edited' })
  const short = { path: join(work.directory, 'edited'), size: 3 }
  expect(await files(work, 'files.v1.Files/Truncate', short)).toMatchObject({ status: 200 })
  const moved = { source: destination, destination: `${destination}-moved` }
  expect(await files(work, 'filesystem.Filesystem/Move', moved)).toMatchObject({ status: 200 })
  const removed = { path: moved.destination }
  expect(await files(work, 'filesystem.Filesystem/Remove', removed)).toMatchObject({ status: 200 })
  await expect(stat(moved.destination)).rejects.toMatchObject({ code: 'ENOENT' })
}

async function watchesDirectories(work: Work): Promise<void> {
  const { daemon, directory, user } = work
  const paths = [directory, join(directory, 'tree')]
  const watched = await open<object>(daemon.url, 'watch.v1.Watch/Directories', { paths }, { headers: asUser(user) })
  expect(await watched.next()).toHaveProperty('started')
  const asked = { path: directory, recursive: true }
  const { body } = await files(work, 'files.v1.Files/Changes', asked)
  await writeFile(join(directory, 'tree', 'sub', 'fresh'), 'x')
  await writeFile(join(directory, 'tree', 'fresh'), 'x')
  expect(await watched.next()).toMatchObject({ change: { directory: 1, event: { name: 'fresh' } } })
  watched.close()
  const changes = await files(work, 'files.v1.Files/Changes', { ...asked, ...Object(body), waitMs: 10_000 })
  expect(changes.body).toMatchObject({ changes: [{ path: 'tree/sub/fresh' }, { path: 'tree/fresh' }] })
}

async function keepsJobs({ daemon: { url }, user }: Work): Promise<void> {
  const headers = { ...asUser(user), 'idempotency-key': `job-of-${user}` }
  const { end } = await shell(url, 'echo out; echo err >&2; exit 3', { headers })
  expect(end?.exitCode).toBe(3)
  const job = { key: `job-of-${user}` }
  const waited = await call(url, 'jobs.v1.Jobs/Wait', { job })
  expect(waited.body).toMatchObject({
    job: { state: 'STATE_ENDED', exitCode: 3, cause: 'CAUSE_EXIT', user },
    stdout: Buffer.from('out\n').toString('base64'),
    stderr: Buffer.from('err\n').toString('base64'),
  })
  const sleeping = { ...asUser(user), 'idempotency-key': `asleep-of-${user}` }
  const asleep = await open(url, 'process.Process/Start', sleeper, { headers: sleeping })
  await asleep.next()
  const filter = { state: 'STATE_RUNNING', user }
  // Sessions are looked at every half second.
  await expect
    .poll(async () => (await call(url, 'jobs.v1.Jobs/List', { filter })).body)
    .toMatchObject({ jobs: [{ cmd: 'sleep', memoryBytes: expect.any(String) }] })
  const killed = await call(url, 'jobs.v1.Jobs/Kill', { job: { key: `asleep-of-${user}` }, graceMs: 5000 })
  expect(killed.body).toMatchObject({ job: { cause: 'CAUSE_SIGNAL', signal: 'terminated' } })
  await asleep.rest()
}

const sleeper = { process: { cmd: 'sleep', args: ['300'] } }

async function keepsTerminals({ daemon: { url }, user }: Work): Promise<void> {
  const opened = { name: `screen-of-${user}`, command: '/bin/sh', args: ['-c', 'echo a$((1))b; sleep 300'] }
  const headers = asUser(user)
  const first = await open<object>(url, 'terminals.v1.Terminals/Open', opened, { headers })
  let text = ''
  while (!text.includes('a1b')) text += shown(await first.next())
  first.close()
  const attached = { terminal: { name: opened.name } }
  const again = await open<object>(url, 'terminals.v1.Terminals/Attach', attached, { headers })
  let screen = ''
  while (!screen.includes('a1b')) screen += shown(await again.next())
  expect(await call(url, 'terminals.v1.Terminals/Close', attached)).toMatchObject({ status: 200 })
  await again.rest()
}

/** All bytes in a message, whatever it is. */
function shown(message: object): string {
  return JSON.stringify(message, (_, value) => (typeof value === 'string' ? atobOr(value) : value))
}

function atobOr(text: string): string {
  return /^[A-Za-z0-9+/=]+$/.test(text) ? `${text}${Buffer.from(text, 'base64').toString('latin1')}` : text
}

async function relaysPorts({ url }: Daemon): Promise<void> {
  await using puppet = await startPuppet('here')
  const port = await puppet.listen('127.0.0.1')
  const listed = await call(url, 'ports.Ports/List', { filter: { port } })
  expect(listed.body).toMatchObject({ listeners: [{ port, address: '127.0.0.1' }] })
  // It speaks no HTTP.
  expect(await sendWhole(`${url}/ports/${port}/`)).toMatchObject({ status: 502 })
}

async function outlivesCrash(daemon: Daemon): Promise<void> {
  const headers = { ...asUser('root'), 'idempotency-key': 'across' }
  const started = await open(daemon.url, 'process.Process/Start', sleeper, { headers })
  await started.next()
  process.kill(daemon.pid, 'SIGKILL')
  await expect(started.rest()).rejects.toThrow()
  const job = { key: 'across' }
  const { body } = await call(daemon.url, 'jobs.v1.Jobs/Get', { job })
  expect(body).toMatchObject({ job: { state: 'STATE_RUNNING', cmd: 'sleep' } })
  const killed = await call(daemon.url, 'jobs.v1.Jobs/Kill', { job, graceMs: 5000 })
  expect(killed.body).toMatchObject({ job: { state: 'STATE_ENDED', signal: 'terminated' } })
}

async function refusesFiles(work: Work): Promise<void> {
  const { directory } = work
  const refused = { status: 403, headers: expect.anything() }
  const headers = { ...PIECE, 'upload-length': '3' }
  const octets = { 'content-type': 'application/octet-stream' }
  const as = { headers: asUser('user') }
  const path = join(directory, 'file')
  const post = (query: Record<string, string>, more: Headers) =>
    sendWhole(target(work, '/files', { path, ...query }), { method: 'POST', headers: more, body: 'abc' })
  for (const mode of ['atomic', 'create', 'overwrite']) expect(await post({ mode }, octets)).toMatchObject(refused)
  const made = await sendWhole(target(work, '/uploads', { path }), { method: 'POST', headers, body: 'abc' })
  expect(made).toMatchObject(refused)
  const edited = await files(work, 'files.v1.Files/Edit', { files: [{ path, text: 'x' }] })
  expect(edited).toMatchObject({ status: 403, body: { code: 'permission_denied' } })
  const linked = await files(work, 'files.v1.Files/Symlink', { target: 'x', path })
  expect(linked).toMatchObject({ status: 403, body: { code: 'permission_denied' } })
  const copied = await open(work.daemon.url, 'files.v1.Files/Copy', { source: '/etc/passwd', destination: path }, as)
  expect((await copied.rest()).end.error).toMatchObject({ code: 'permission_denied' })
  for (const entry of ['a-directory/', 'a-file', 'a-link']) await refusesArchive(work, entry)
  const { body } = await call(work.daemon.url, 'filesystem.Filesystem/ListDir', { path: directory })
  expect(body).toEqual({})
}

async function refusesArchive(work: Work, entry: string): Promise<void> {
  const { directory } = work
  await using packed = await makeTmpDir()
  await mkdir(join(packed.path, 'a-directory'))
  await writeFile(join(packed.path, 'a-file'), 'x')
  await symlink('/etc/shadow', join(packed.path, 'a-link'))
  const body = execFileSync('tar', ['-C', packed.path, '-c', entry])
  for (const mode of ['overwrite', 'replace', 'create']) {
    const path = mode === 'overwrite' ? directory : join(directory, 'new')
    const sent = { method: 'POST', headers: { 'content-type': 'application/x-tar' }, body }
    const { status, text } = await sendWhole(target(work, '/files', { path, mode }), sent)
    expect({ entry, mode, status, text }).toMatchObject({ status: 403 })
  }
}

function files({ daemon, user }: Work, method: string, message: object) {
  return call(daemon.url, method, message, { headers: asUser(user) })
}

async function stream({ daemon, user }: Work, method: string, message: object): Promise<object[]> {
  const opened = await open<object>(daemon.url, `files.v1.Files/${method}`, message, { headers: asUser(user) })
  const { messages, end } = await opened.rest()
  expect({ method, error: end.error }).toEqual({ method, error: undefined })
  return messages.filter((one) => !('progress' in one || 'keepalive' in one))
}
