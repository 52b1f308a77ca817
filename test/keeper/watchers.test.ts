import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sendWhole } from '../_util/http.ts'
import { call } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { crash, startKept } from './crash.ts'
import { descriptorsOf } from './mixed-load.ts'

const method = (name: string) => `filesystem.Filesystem/${name}`
const create = async (url: string, path: string, more: object = {}, headers = {}) =>
  ((await call(url, method('CreateWatcher'), { path, ...more }, { headers })).body as { watcherId: string }).watcherId
const poll = (url: string, watcherId: string) => call(url, method('GetWatcherEvents'), { watcherId })
const namesOf = async (url: string, watcherId: string) => {
  const { body } = await poll(url, watcherId)
  return ((body as { events?: { name: string }[] }).events ?? []).map(({ name }) => name)
}

test('C40 C41 after a crash a polled watcher says once that events may be missing, and then goes on under its id', async () => {
  await using daemon = await startKept()
  await using dir = await makeTmpDir()
  const { url } = daemon
  await mkdir(join(dir.path, 'sub'))
  const id = await create(url, dir.path, { recursive: true, includeEntry: true }, { 'watch-exclude': '*.log' })
  await writeFile(join(dir.path, 'before'), '')
  await expect.poll(() => namesOf(url, id)).toContain('before')
  for (let round = 0; round < 2; round++) {
    await crash(daemon)
    const missing = await poll(url, id)
    expect([missing.status, missing.body]).toEqual([
      429,
      { code: 'resource_exhausted', message: expect.stringContaining('may be missing since the last poll') },
    ])
    expect(await namesOf(url, id)).toEqual([])
    await writeFile(join(dir.path, `sub/left-out-${round}.log`), '')
    await writeFile(join(dir.path, `sub/after-${round}`), '')
    const { body } = await poll(url, id)
    const { events } = body as { events: { name: string; entry: object }[] }
    expect([...new Set(events.map(({ name }) => name))]).toEqual([`sub/after-${round}`])
    expect(events[0]?.entry).toMatchObject({ name: `after-${round}` })
  }
  expect((await call(url, method('RemoveWatcher'), { watcherId: id })).status).toBe(200)
  await crash(daemon)
  expect((await poll(url, id)).status).toBe(404)
})

test('a watcher whose directory has gone meanwhile ends with that, and one that was removed leaves no descriptor', async () => {
  await using daemon = await startKept()
  await using dir = await makeTmpDir()
  const { url } = daemon
  const before = await descriptorsOf(daemon.launched)
  const path = join(dir.path, 'gone')
  await mkdir(path)
  const ids = [await create(url, path), ...(await Promise.all(Array.from({ length: 20 }, () => create(url, dir.path))))]
  await expect.poll(() => descriptorsOf(daemon.launched)).toBe(before + 21)
  process.kill(daemon.pid, 'SIGSTOP')
  await rm(path, { recursive: true })
  await crash(daemon)
  expect((await poll(url, ids[0] ?? '')).status).toBe(429)
  expect((await poll(url, ids[0] ?? '')).body).toMatchObject({ code: 'not_found' })
  for (const watcherId of ids) expect((await call(url, method('RemoveWatcher'), { watcherId })).status).toBe(200)
  await expect.poll(() => descriptorsOf(daemon.launched)).toBe(before)
})

test('I9 a polled watcher goes on after an upgrade', async () => {
  await using daemon = await startKept()
  await using dir = await makeTmpDir()
  const { url } = daemon
  const id = await create(url, dir.path)
  expect((await sendWhole(`${url}/init`, { method: 'POST', body: '{}' })).status).toBe(204)
  await expect(sendWhole(`${url}/upgrade`, { method: 'POST' })).rejects.toMatchObject({ code: 'ECONNRESET' })
  expect((await poll(url, id)).status).toBe(429)
  await writeFile(join(dir.path, 'after'), '')
  expect(await namesOf(url, id)).toContain('after')
})
