import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { inNamespace, needsNamespace } from '../_util/namespace.ts'
import { call, open, shell } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const envd = fileURLToPath(new URL('../../scripts/envd', import.meta.url))
/** As in a bare chroot. */
const WITHOUT_PROC = ['unshare', '--mount', 'sh', '-c', 'umount --lazy /proc && exec "$0" "$@"', envd] as const

const owned = new AsyncDisposableStack()
let daemon: Daemon
let directory: string
beforeEach(needsNamespace)
beforeAll(async () => {
  if (!inNamespace) return
  daemon = owned.use(await startDaemon({ launch: WITHOUT_PROC }))
  directory = owned.use(await makeTmpDir()).path
  await mkdir(join(directory, 'real'))
  await writeFile(join(directory, 'real', 'large'), Buffer.alloc(100_000, 'x'))
  await symlink('real', join(directory, 'link'))
})
afterAll(() => owned.disposeAsync())

const filesystem = (method: string, message: object) => call(daemon.url, `filesystem.Filesystem/${method}`, message)
const files = (path: string, query: Record<string, string> = {}) =>
  `${daemon.url}/files?${new URLSearchParams({ path, username: 'root', ...query })}`
const upload = (path: string, body: Buffer | string, query?: Record<string, string>) =>
  sendWhole(files(path, query), { method: 'POST', headers: { 'content-type': 'application/octet-stream' }, body })

const NEEDED = 'this takes /proc, which is not mounted'

test('there is none, and commands run', async () => {
  expect(String((await shell(daemon.url, 'ls -A /proc; echo run')).stdout)).toBe('run\n')
})

test('C21 a directory is listed, also through a link, and what is not there is not found', async () => {
  for (const name of ['real', 'link']) {
    const { status, body } = await filesystem('ListDir', { path: join(directory, name) })
    expect(status).toBe(200)
    expect(body).toMatchObject({ entries: [{ name: 'large', path: join(directory, name, 'large') }] })
  }
  const missing = await filesystem('ListDir', { path: join(directory, 'missing') })
  expect(missing.body).toMatchObject({ code: 'not_found' })
})

test('C14 a directory that is there already exists', async () => {
  const { body } = await filesystem('MakeDir', { path: join(directory, 'real') })
  expect(body).toMatchObject({ code: 'already_exists' })
})

test('files are found, and lines in them', async () => {
  const scope = { path: join(directory, 'real') }
  const found = await (await open(daemon.url, 'files.v1.Files/Find', scope)).rest()
  expect(found).toMatchObject({ messages: [{ file: { path: join(directory, 'real', 'large') } }, {}], end: {} })
  const lines = await (await open(daemon.url, 'files.v1.Files/Grep', { ...scope, pattern: '^x' })).rest()
  expect(lines.messages.at(-1)).toMatchObject({ summary: { matchingLines: '1' } })
})

test.each([{}, { mode: 'atomic' }, { mode: 'create' }])(
  'B31 files are written and replaced, small and large (%o)',
  async (query) => {
    const path = join(directory, `written-${JSON.stringify(query).length}`)
    for (const body of [Buffer.from('small'), Buffer.alloc(200_000, 'y')]) {
      const to = 'mode' in query && query.mode === 'create' ? `${path}-${body.length}` : path
      expect((await upload(to, body, query)).status).toBe(200)
      expect((await readFile(to)).equals(body)).toBe(true)
    }
  },
)

test('B25 a file is downloaded through a link', async () => {
  const { status, body } = await sendWhole(files(join(directory, 'link', 'large')))
  expect({ status, bytes: body.length }).toEqual({ status: 200, bytes: 100_000 })
})

test('archives in tar are unpacked', async () => {
  const packed = await sendWhole(files(join(directory, 'real'), { format: 'tar' }))
  const headers = { 'content-type': 'application/x-tar' }
  const sent = { method: 'POST', headers, body: packed.body }
  expect((await sendWhole(files(join(directory, 'unpacked')), sent)).status).toBe(200)
  expect((await readFile(join(directory, 'unpacked', 'large'))).length).toBe(100_000)
})

test('what reaches open files through it says so, and changes nothing', async () => {
  const refused = { code: 'unimplemented', message: NEEDED }
  const watch = await open(daemon.url, 'filesystem.Filesystem/WatchDir', { path: directory })
  expect((await watch.rest()).end.error).toEqual(refused)
  expect((await filesystem('CreateWatcher', { path: directory })).body).toMatchObject(refused)
  const attributes = { path: join(directory, 'real'), recursive: true, mode: 0o700 }
  const set = await open(daemon.url, 'files.v1.Files/SetAttributes', attributes)
  expect((await set.rest()).end.error).toEqual(refused)
  const zip = await sendWhole(files(join(directory, 'real'), { format: 'zip' }))
  const sent = { method: 'POST', headers: { 'content-type': 'application/zip' }, body: zip.body }
  const unzipped = await sendWhole(files(join(directory, 'unzipped')), sent)
  expect(unzipped).toMatchObject({ status: 501, text: expect.stringContaining(NEEDED) })
  const move = { source: join(directory, 'real', 'large'), destination: '/dev/shm/large' }
  expect((await filesystem('Move', move)).body).toMatchObject(refused)
  expect((await readFile(join(directory, 'real', 'large'))).length).toBe(100_000)
})
