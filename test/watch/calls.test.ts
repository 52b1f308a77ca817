import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { commonDaemon } from '../_util/common-daemon.ts'
import { sendWhole } from '../_util/http.ts'
import { needsNamespace } from '../_util/namespace.ts'
import { asUser } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { watchCalls } from './watch-calls.ts'

const daemon = commonDaemon()
const { unary, events, reported, createWatcher } = watchCalls(() => daemon.url)

function upload(path: string, body: string, headers: Record<string, string> = {}, mode = '') {
  return sendWhole(`${daemon.url}/files?path=${encodeURIComponent(path)}${mode}`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream', ...headers },
    body,
  })
}

function uploadForm(path: string, body: string) {
  const part = `--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n${body}\r\n--x--\r\n`
  return upload(path, part, { 'content-type': 'multipart/form-data; boundary=x' })
}

test('C28 C40 C41 an upload of a new file is CREATE, CHMOD, WRITE, and a poll right after its response has them', async () => {
  await using dir = await makeTmpDir()
  const watcherId = await createWatcher({ path: dir.path })
  expect(watcherId).toMatch(/^w[a-z0-9]{20}$/)
  for (let i = 0; i < 50; i++) {
    await upload(`${dir.path}/octets${i}`, 'content')
    expect(await reported(watcherId)).toEqual([`CREATE octets${i}`, `CHMOD octets${i}`, `WRITE octets${i}`])
    await uploadForm(`${dir.path}/form${i}`, 'content')
    expect(await reported(watcherId)).toEqual([`CREATE form${i}`, `CHMOD form${i}`, `WRITE form${i}`])
  }
  expect(await events(watcherId)).toEqual([])
})

test('C28 uploads that are written before they have their name are reported under it alone', async () => {
  await using dir = await makeTmpDir()
  const watcherId = await createWatcher({ path: dir.path })
  const body = 'x'.repeat(300_000)
  for (const mode of ['', '&mode=atomic']) {
    await upload(`${dir.path}/f`, body, {}, mode)
    const lines = await reported(watcherId)
    if (mode === '') expect(lines).toEqual(['CREATE f', 'CHMOD f', 'WRITE f'])
    expect(lines.filter((line) => line.includes('#'))).toEqual([])
    expect(lines).not.toEqual([])
  }
  await writeFile(`${dir.path}/#1`, 'of a user with such names')
  expect(await reported(watcherId)).toEqual(['CREATE #1', 'WRITE #1'])
})

test('C28 metadata of an upload is one more CHMOD', async () => {
  await using dir = await makeTmpDir()
  const watcherId = await createWatcher({ path: dir.path })
  const { status } = await upload(`${dir.path}/f`, 'content', { 'x-metadata-colour': 'blue' })
  expect(status).toBe(200)
  const lines = await reported(watcherId)
  expect(lines.slice(0, 3)).toEqual(['CREATE f', 'CHMOD f', 'WRITE f'])
  // None where the file system keeps no metadata.
  expect(['', 'CHMOD f']).toContain(lines.slice(3).join())
})

test('C31 an upload into new directories of a recursive watcher is reported with all of them', async () => {
  await using dir = await makeTmpDir()
  const watcherId = await createWatcher({ path: dir.path, recursive: true })
  await upload(`${dir.path}/a/b/f`, 'content')
  const lines = (await reported(watcherId)).filter((line) => line.startsWith('CREATE'))
  expect(lines).toEqual(['CREATE a', 'CREATE a/b', 'CREATE a/b/f'])
})

test('C26 C41 what cannot be done is answered with the code and message that clients know', async () => {
  await using dir = await makeTmpDir()
  await writeFile(`${dir.path}/file`, '')
  const answer = async (method: string, message: unknown) => {
    const { status, body } = await unary(method, message)
    return { status, body }
  }
  const missing = `${dir.path}/none`
  for (const recursive of [true, false]) {
    expect(await answer('CreateWatcher', { path: missing, recursive })).toEqual({
      status: 404,
      body: { code: 'not_found', message: `path ${missing} not found: stat ${missing}: no such file or directory` },
    })
  }
  expect(await answer('CreateWatcher', { path: `${dir.path}/file` })).toEqual({
    status: 400,
    body: { code: 'invalid_argument', message: `path ${dir.path}/file is not a directory` },
  })
  for (const method of ['GetWatcherEvents', 'RemoveWatcher'])
    for (const watcherId of ['wnone', ''])
      expect(await answer(method, { watcherId })).toEqual({
        status: 404,
        body: { code: 'not_found', message: `watcher with id ${watcherId} not found` },
      })
})

test('C26 the empty path is the home of the user, a relative one is below it', async (context) => {
  needsNamespace(context)
  const options = { headers: asUser('user') }
  const home = await createWatcher({ path: '' }, options)
  await mkdir('/home/user/below')
  expect(await reported(home)).toEqual(['CREATE below'])
  const below = await createWatcher({ path: 'below' }, options)
  await writeFile('/home/user/below/f', '')
  expect(await reported(below)).toEqual(['CREATE f'])
  expect((await unary('CreateWatcher', { path: '' }, { headers: asUser('nobody-there') })).status).toBe(401)
})

test('C26 a directory that the daemon may not read is refused with the reason', async (context) => {
  if (process.getuid?.() === 0) context.skip('root may read every directory')
  await using dir = await makeTmpDir()
  await mkdir(`${dir.path}/closed`, { mode: 0 })
  expect((await unary('CreateWatcher', { path: `${dir.path}/closed` })).body).toEqual({
    code: 'internal',
    message: `error watching ${dir.path}/closed: permission denied`,
  })
})

test('C39 entries come with what is there, looked at when it is polled, and not with what is gone', async () => {
  await using dir = await makeTmpDir()
  const at = (name: string) => `${dir.path}/${name}`
  await writeFile(at('old'), '')
  const watcherId = await createWatcher({ path: `${dir.path}/`, includeEntry: true, recursive: true })
  await mkdir(at('sub'))
  await events(watcherId)
  await writeFile(at('sub/f'), 'four')
  await writeFile(at('gone'), '')
  await rm(at('gone'))
  await rename(at('old'), at('new'))
  await writeFile(at('old'), 'again')
  const found = await events(watcherId)
  const of = (name: string, type: string) =>
    found.find((event) => event.name === name && event.type === `EVENT_TYPE_${type}`)
  expect(of('sub/f', 'CREATE')?.entry).toMatchObject({
    name: 'f',
    path: at('sub/f'),
    type: 'FILE_TYPE_FILE',
    size: '4',
  })
  expect(of('sub/f', 'WRITE')?.entry).toMatchObject({ path: at('sub/f') })
  expect(of('gone', 'CREATE')).toEqual({ name: 'gone', type: 'EVENT_TYPE_CREATE' })
  expect(of('gone', 'REMOVE')).toEqual({ name: 'gone', type: 'EVENT_TYPE_REMOVE' })
  expect(of('old', 'RENAME')).toEqual({ name: 'old', type: 'EVENT_TYPE_RENAME' })
  expect(of('new', 'CREATE')?.entry).toMatchObject({ path: at('new') })
})

test('C33 C41 a poll hands over what was reported before it says that the directory is gone, and RemoveWatcher still works', async () => {
  await using dir = await makeTmpDir()
  const root = `${dir.path}/root`
  await mkdir(root)
  const watcherId = await createWatcher({ path: root })
  await writeFile(`${root}/f`, '')
  await rm(root, { recursive: true })
  expect(await reported(watcherId)).toEqual(['CREATE f', 'REMOVE f', 'REMOVE .'])
  for (let i = 0; i < 2; i++)
    expect((await unary('GetWatcherEvents', { watcherId })).body).toEqual({
      code: 'not_found',
      message: `the watched directory ${root} was removed`,
    })
  expect((await unary('RemoveWatcher', { watcherId })).body).toEqual({})
  expect((await unary('RemoveWatcher', { watcherId })).status).toBe(404)
})

test('C40 C42 a watcher outlives the request and the connection that made it, and every caller with its id may use it', async (context) => {
  needsNamespace(context)
  await using dir = await makeTmpDir()
  const started = performance.now()
  const made = await createWatcher(
    { path: dir.path },
    { headers: { ...asUser('user'), 'connect-timeout-ms': '500' }, http2: true },
  )
  await expect.poll(() => performance.now() - started > 700).toBe(true)
  await writeFile(`${dir.path}/f`, '')
  const polled = await unary('GetWatcherEvents', { watcherId: made }, { headers: asUser('other') })
  expect(polled.body).toEqual({ events: [{ name: 'f', type: 'EVENT_TYPE_CREATE' }] })
  expect((await unary('RemoveWatcher', { watcherId: made }, { headers: asUser('other') })).body).toEqual({})
})

test('J1 J2 J3 polls of connect-python have names and types only', async () => {
  await using dir = await makeTmpDir()
  const watcherId = await createWatcher({ path: dir.path, includeEntry: true })
  await writeFile(`${dir.path}/f`, '')
  const headers = { 'user-agent': 'connect-python' }
  const polled = await unary('GetWatcherEvents', { watcherId }, { headers })
  expect(polled.headers['x-e2b-legacy-sdk']).toBe('true')
  expect(polled.body).toEqual({ events: [{ name: 'f', type: 'EVENT_TYPE_CREATE' }] })
  expect((await unary('RemoveWatcher', { watcherId }, { headers })).body).toEqual({})
})

test('C36 C41 a poll ends although others go on changing files', async () => {
  await using dir = await makeTmpDir()
  const watcherId = await createWatcher({ path: dir.path })
  let going = true
  const writing = (async () => {
    for (let i = 0; going; i++) await writeFile(`${dir.path}/${i % 100}`, 'x')
  })()
  for (let i = 0; i < 20; i++) await events(watcherId)
  going = false
  await writing
})
