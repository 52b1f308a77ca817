import { execFileSync } from 'node:child_process'
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { type Daemon, startDaemon } from '../_util/daemon.ts'
import { mountFuse, threadsInFuse, waitsForFuse } from '../_util/dead-mount.ts'
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

/** Of each kind of transfer: all of them together are more than there are threads of the pool. */
const TRANSFERS = 12

const TUS = 'Tus-Resumable: 1.0.0\r\n'

/** Sends the beginning of a request. */
function begin({ port }: Daemon, head: string) {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(`${head.replace('\r\n', '\r\nHost: x\r\n')}\r\n`)
  return socket.pause()
}

async function openFiles(pid: number, below: string): Promise<number> {
  const fds = await readdir(`/proc/${pid}/fd`)
  const links = await Promise.all(fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
  return links.filter((link) => link.startsWith(below)).length
}

async function makeUpload({ url }: Daemon, path: string): Promise<string> {
  const headers = { 'tus-resumable': '1.0.0', 'upload-length': '100000000' }
  const answer = await sendWhole(`${url}/uploads?path=${path}`, { method: 'POST', headers })
  return new URL(String(answer.headers['location']), url).pathname
}

test('transfers under which a mount dies hold up no other work', { timeout: 60_000 }, async (context) => {
  await using mount = await mountFuse(context)
  await using daemon = await startDaemon()
  const local = join(mount.path, '..', 'local')
  await mkdir(local)
  await writeFile(join(mount.path, 'large'), Buffer.alloc(32 * 2 ** 20))
  const chunk = Buffer.concat([Buffer.from('40000\r\n'), Buffer.alloc(0x40000, 'x'), Buffer.from('\r\n')])
  const downloads: ReturnType<typeof begin>[] = []
  const uploads: ReturnType<typeof begin>[] = []
  for (let i = 0; i < TRANSFERS; i++) {
    const chunked = 'Transfer-Encoding: chunked\r\n'
    const octets = `Content-Type: application/octet-stream\r\n${chunked}`
    const piece = `Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n${TUS}${chunked}`
    const upload = await makeUpload(daemon, join(mount.path, `tus-${i}`))
    downloads.push(begin(daemon, `GET /files?path=${mount.path}/large HTTP/1.1\r\n`))
    uploads.push(begin(daemon, `POST /files?path=${mount.path}/new-${i} HTTP/1.1\r\n${octets}`))
    uploads.push(begin(daemon, `PATCH ${upload} HTTP/1.1\r\n${piece}`))
  }
  for (const socket of uploads) socket.write(chunk)
  await expect.poll(() => openFiles(daemon.pid, mount.path)).toBeGreaterThanOrEqual(3 * TRANSFERS)
  mount.die()
  for (const socket of uploads) for (let i = 0; i < 8; i++) socket.write(chunk)
  for (const socket of downloads) socket.resume()
  // As many as the pool has.
  await expect.poll(() => threadsInFuse(daemon.pid)).toBeGreaterThanOrEqual(16)
  await othersAreServed(daemon, local)
  for (const socket of [...uploads, ...downloads]) socket.destroy()
  await othersAreServed(daemon, local)
  mount.end()
  expect(await daemon.stop()).toBe(0)
})

test('a watch of many files holds up no other work when their mount dies', { timeout: 60_000 }, async (context) => {
  await using mount = await mountFuse(context)
  await using daemon = await startDaemon()
  const local = join(mount.path, '..', 'local')
  await mkdir(local)
  for (let i = 0; i < 40; i++) await writeFile(join(mount.path, `file-${i}`), 'x')
  const watch = { path: mount.path, recursive: true, allowNetworkMounts: true }
  const stream = await open(daemon.url, 'filesystem.Filesystem/WatchDir', watch)
  await stream.next()
  mount.die()
  await expect.poll(() => waitsForFuse(daemon.pid)).toBe(true)
  // All that are looked at together.
  await new Promise((resolve) => setTimeout(resolve, 200))
  await othersAreServed(daemon, local)
  stream.close()
  await othersAreServed(daemon, local)
  expect(await daemon.stop()).toBe(0)
})

/** Some may have ended when the mount dies; more than there are threads of Node's pool have not. */
const MOVES = 40
const POOL_THREADS = 16

test('moves from a mount that dies hold up no other work', { timeout: 60_000 }, async (context) => {
  await using mount = await mountFuse(context)
  await using daemon = await startDaemon()
  const local = join(mount.path, '..', 'local')
  await mkdir(local)
  for (let i = 0; i < MOVES; i++) {
    await mkdir(join(mount.path, `tree-${i}`))
    for (let j = 0; j < 100; j++) await writeFile(join(mount.path, `tree-${i}`, `file-${j}`), 'x')
  }
  const over = new AbortController()
  const moves = Array.from({ length: MOVES }, (_, i) => {
    const request = { source: join(mount.path, `tree-${i}`), destination: join(local, `tree-${i}`) }
    return call(daemon.url, 'filesystem.Filesystem/Move', request, { signal: over.signal }).catch(() => 'given up')
  })
  const begun = async () => (await readdir(local)).filter((name) => name.endsWith('.tmp')).length
  await expect.poll(begun, { interval: 1 }).toBe(MOVES)
  mount.die()
  await expect.poll(() => threadsInFuse(daemon.pid)).toBeGreaterThan(POOL_THREADS)
  await othersAreServed(daemon, local)
  over.abort()
  await Promise.all(moves)
  await othersAreServed(daemon, local)
  mount.end()
  expect(await daemon.stop()).toBe(0)
})

/** As many as are sent, and as many as are unpacked, at a time. */
const ARCHIVES = 4

test('archives that hang on a mount take the places of others only for a while', {
  timeout: 60_000,
}, async (context) => {
  await using mount = await mountFuse(context)
  await using daemon = await startDaemon()
  const local = join(mount.path, '..', 'local')
  await mkdir(local)
  await writeFile(join(local, 'file'), Buffer.alloc(100_000, 'x'))
  const tar = execFileSync('tar', ['-C', local, '-c', 'file'])
  const downloads: ReturnType<typeof begin>[] = []
  const uploads: ReturnType<typeof begin>[] = []
  for (let i = 0; i < ARCHIVES; i++) {
    // Each in a directory of its own: the kernel has the others wait for one that waits in the same.
    const from = join(mount.path, `from-${i}`)
    await mkdir(from)
    for (let j = 0; j < 250; j++) await writeFile(join(from, `file-${j}`), Buffer.alloc(65_536))
    const type = `Content-Type: application/x-tar\r\nContent-Length: ${tar.length}\r\n`
    downloads.push(begin(daemon, `GET /files?path=${from}&format=tar HTTP/1.1\r\n`))
    uploads.push(begin(daemon, `POST /files?path=${mount.path}/to-${i} HTTP/1.1\r\n${type}`))
    for (const begun of [from, join(mount.path, `to-${i}`)])
      await expect.poll(() => openFiles(daemon.pid, begun)).toBeGreaterThanOrEqual(1)
  }
  mount.die()
  const { text } = await fetchTar(daemon, local)
  expect(text).toContain('trees are being sent already')
  for (const socket of uploads) socket.write(tar)
  for (const socket of downloads) socket.resume()
  // With all but one, such have all places of one kind at least.
  await expect.poll(() => threadsInFuse(daemon.pid)).toBeGreaterThanOrEqual(2 * ARCHIVES - 1)
  for (const socket of [...uploads, ...downloads]) socket.destroy()
  await expect.poll(async () => (await fetchTar(daemon, local)).status, { timeout: 15_000 }).toBe(200)
  const sent = { method: 'POST', headers: { 'content-type': 'application/x-tar' }, body: tar }
  const unpack = async () => (await sendWhole(`${daemon.url}/files?path=${local}/unpacked`, sent)).status
  await expect.poll(unpack, { timeout: 15_000 }).toBe(200)
  mount.end()
  expect(await daemon.stop()).toBe(0)
})

function fetchTar({ url }: Daemon, path: string) {
  return sendWhole(`${url}/files?path=${path}&format=tar`)
}

async function othersAreServed({ url }: Daemon, local: string): Promise<void> {
  const path = join(local, 'file')
  const signal = AbortSignal.timeout(8_000)
  expect((await sendWhole(`${url}/health`, { signal })).status).toBe(204)
  // Compression takes threads of Node's pool.
  const zipped = { 'content-type': 'application/json', 'content-encoding': 'gzip' }
  const list = { method: 'POST', headers: zipped, body: gzipSync('{}'), signal }
  expect((await sendWhole(`${url}/process.Process/List`, list)).status).toBe(200)
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
