import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { mountFuse, waitsForFuse } from '../_util/dead-mount.ts'
import { sendWhole } from '../_util/http.ts'
import { call, open } from '../_util/rpc.ts'

/** More than there are threads of the pool, and more than any user asks for at once. */
const CALLS = 100

type Ask = (daemon: Daemon, path: string, signal: AbortSignal) => Promise<unknown>

const unary = (method: string, more: object = {}): Ask => {
  return ({ url }, path, signal) => call(url, method, { path, ...more }, { signal })
}
const streaming = (method: string, more: object = {}): Ask => {
  return async ({ url }, path, signal) => (await open(url, method, { path, ...more }, { signal })).rest()
}
const octets = { 'content-type': 'application/octet-stream' }
const get = (query: string): Ask => {
  return ({ url }, path, signal) => sendWhole(`${url}/files?path=${path}${query}`, { signal })
}
const post = (query: string, type: string): Ask => {
  return ({ url }, path, signal) =>
    sendWhole(`${url}/files?path=${path}${query}`, {
      method: 'POST',
      headers: { 'content-type': type },
      body: 'x',
      signal,
    })
}

/** What is asked of the file in the mount, or of the mount itself. */
const ASKS: readonly (readonly [string, 'file' | 'mount', Ask])[] = [
  ['Stat', 'file', unary('filesystem.Filesystem/Stat')],
  ['ListDir', 'mount', unary('filesystem.Filesystem/ListDir', { depth: 3 })],
  ['MakeDir', 'file', unary('filesystem.Filesystem/MakeDir')],
  ['Remove', 'file', unary('filesystem.Filesystem/Remove')],
  ['ReadLines', 'file', unary('files.v1.Files/ReadLines')],
  ['Truncate', 'file', unary('files.v1.Files/Truncate')],
  ['a download', 'file', get('')],
  ['an archive', 'mount', get('&format=tar')],
  ['an upload', 'file', post('', 'application/octet-stream')],
  ['an upload beside', 'file', post('&mode=atomic', 'application/octet-stream')],
  ['an archive to unpack', 'mount', post('', 'application/x-tar')],
  ['a watch', 'mount', streaming('filesystem.Filesystem/WatchDir', { recursive: true, allowNetworkMounts: true })],
  ['Find', 'mount', streaming('files.v1.Files/Find')],
  ['Grep', 'mount', streaming('files.v1.Files/Grep', { pattern: 'x' })],
  ['DiskUsage', 'mount', streaming('files.v1.Files/DiskUsage')],
]

for (const [name, what, ask] of ASKS) {
  test(`${CALLS} calls of ${name} that hang on a dead mount hold up no other work`, {
    timeout: 60_000,
  }, async (context) => {
    await using mount = await mountFuse(context)
    await using daemon = await startDaemon()
    const asked = what === 'file' ? join(mount.path, 'file') : mount.path
    const local = join(mount.path, '..', 'local')
    await mkdir(local)
    mount.die()
    const over = new AbortController()
    const hung = Array.from({ length: CALLS }, () => ask(daemon, asked, over.signal).catch(() => 'given up'))
    await expect.poll(() => waitsForFuse(daemon.pid), { timeout: 10_000 }).toBe(true)
    await othersAreServed(daemon, local)
    over.abort()
    await Promise.all(hung)
    await othersAreServed(daemon, local)
    expect(await daemon.stop()).toBe(0)
  })
}

async function othersAreServed({ url }: Daemon, local: string): Promise<void> {
  const path = join(local, 'file')
  const signal = AbortSignal.timeout(8_000)
  expect((await sendWhole(`${url}/health`, { signal })).status).toBe(204)
  for (const mode of ['overwrite', 'atomic']) {
    const sent = { method: 'POST', headers: octets, body: mode, signal }
    expect((await sendWhole(`${url}/files?path=${path}&mode=${mode}`, sent)).status).toBe(200)
    expect(await readFile(path, 'utf8')).toBe(mode)
  }
  // Not known to the kernel's caches.
  await writeFile(join(local, `new-${performance.now()}`), 'x')
  expect((await call(url, 'filesystem.Filesystem/Stat', { path }, { signal })).status).toBe(200)
  expect((await call(url, 'filesystem.Filesystem/ListDir', { path: local }, { signal })).status).toBe(200)
  expect((await sendWhole(`${url}/files?path=${path}`, { signal })).text).toBe('atomic')
  expect(
    (await call(url, 'filesystem.Filesystem/MakeDir', { path: join(local, `${performance.now()}`) }, { signal }))
      .status,
  ).toBe(200)
}
