import { mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import { dirname, join } from 'node:path'
import { expect, type TestContext, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { type DeadMount, mountFuse, threadsInFuse } from '../_util/dead-mount.ts'
import { call, open } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

/** A directory with files in which a mount is that does not answer. */
async function treeWithDeadMount(context: TestContext) {
  const mount = await mountFuse(context)
  await writeFile(join(mount.path, 'hidden'), 'text')
  const tree = dirname(mount.path)
  await writeFile(join(tree, 'first'), 'text')
  await mkdir(join(tree, 'zone'))
  await writeFile(join(tree, 'zone', 'last'), 'text')
  mount.die()
  return { tree, mount, [Symbol.asyncDispose]: () => mount[Symbol.asyncDispose]() }
}

interface Entries {
  readonly entries: readonly {
    readonly name: string
    readonly type: string
    readonly path: string
    readonly symlinkTarget?: string
  }[]
}

async function streamed<M>(url: string, method: string, message: unknown): Promise<M[]> {
  const { messages, end } = await (await open<M>(url, method, message)).rest()
  expect(end.error).toBeUndefined()
  return messages
}

test('a list shows a dead mount point at once, and what is beside it', async (context) => {
  await using dead = await treeWithDeadMount(context)
  await using daemon = await startDaemon()
  const began = performance.now()
  const listed = await call(daemon.url, 'filesystem.Filesystem/ListDir', { path: dead.tree, depth: 3 })
  // Longer only on a busy machine: other work that walks waits for 5 s.
  expect(performance.now() - began).toBeLessThan(3_000)
  const { entries } = listed.body as Entries
  expect(entries.map(({ path }) => path.slice(dead.tree.length + 1))).toEqual([
    'first',
    'mounted',
    'origin',
    'origin/hidden',
    'zone',
    'zone/last',
  ])
  expect(entries.find(({ name }) => name === 'mounted')).toMatchObject({ type: 'FILE_TYPE_DIRECTORY' })
  const stat = await call(daemon.url, 'filesystem.Filesystem/Stat', { path: dead.mount.path })
  expect(stat.body).toMatchObject({ entry: { name: 'mounted', type: 'FILE_TYPE_DIRECTORY' } })
  expect(await threadsInFuse(daemon.pid)).toBe(1)
  expect(await daemon.stop()).toBe(0)
})

test('a recursive watch reports what happens beside a dead mount', { timeout: 30_000 }, async (context) => {
  await using dead = await treeWithDeadMount(context)
  await using daemon = await startDaemon()
  for (const more of [{}, { exclude: ['nothing'] }, { allowNetworkMounts: true }]) {
    const request = { path: dead.tree, recursive: true, ...more }
    const stream = await open<WatchMessage>(daemon.url, 'filesystem.Filesystem/WatchDir', request)
    await stream.next()
    await writeFile(join(dead.tree, 'zone', 'last'), 'changed')
    expect(await stream.next()).toMatchObject({ filesystem: { name: 'zone/last' } })
    stream.close()
  }
  expect(await daemon.stop()).toBe(0)
})

interface WatchMessage {
  readonly filesystem?: { readonly name: string; readonly type: string }
}

test('a watcher with `create` reports what happens beside a dead mount', { timeout: 30_000 }, async (context) => {
  await using dead = await treeWithDeadMount(context)
  await using daemon = await startDaemon()
  const request = { path: dead.tree, recursive: true }
  const made = await call(daemon.url, 'filesystem.Filesystem/CreateWatcher', request)
  const { watcherId } = made.body as { readonly watcherId: string }
  await writeFile(join(dead.tree, 'zone', 'last'), 'changed')
  const events = async () => {
    const got = await call(daemon.url, 'filesystem.Filesystem/GetWatcherEvents', { watcherId })
    return (got.body as { readonly events?: readonly { readonly name: string }[] }).events ?? []
  }
  await expect.poll(events).toContainEqual(expect.objectContaining({ name: 'zone/last' }))
  expect(await daemon.stop()).toBe(0)
})

async function getWithTrailers(url: string) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url, { headers: { te: 'trailers' } }, resolve).on('error', reject)
  })
  const body = Buffer.concat(await response.toArray())
  return { body, trailers: response.trailers }
}

test('a walk leaves a dead mount out, says so, and goes on with the rest', { timeout: 60_000 }, async (context) => {
  await using dead = await treeWithDeadMount(context)
  await using daemon = await startDaemon()
  const { url } = daemon
  const path = dead.tree
  const usage = await streamed<{ summary?: object }>(url, 'files.v1.Files/DiskUsage', { path })
  expect(usage.at(-1)).toMatchObject({ summary: { entries: '6', leftOut: '1', leftOutPaths: ['mounted'] } })
  const sums = await streamed<{ file?: { path: string } }>(url, 'files.v1.Files/Checksum', { path })
  expect(sums.flatMap(({ file }) => file?.path ?? [])).toEqual(['first', 'origin/hidden', 'zone/last'])
  expect(sums.at(-1)).toMatchObject({ summary: { leftOut: '1' } })
  const found = await streamed<{ file?: { path: string } }>(url, 'files.v1.Files/Find', { path })
  const names = found.flatMap(({ file }) => file?.path.slice(path.length + 1) ?? [])
  expect(names.sort()).toEqual(['first', 'origin/hidden', 'zone/last'])
  expect(found.at(-1)).toMatchObject({ summary: { unreadable: true } })
  const lines = await streamed(url, 'files.v1.Files/Grep', { path, pattern: 'text' })
  expect(lines.at(-1)).toMatchObject({ summary: { matchingLines: '3', unreadable: true } })
  const archive = await getWithTrailers(`${url}/files?path=${path}&format=tar`)
  expect(archive.trailers).toEqual({ 'x-left-out': '1; mounted' })
  expect(archive.body.includes('zone/last')).toBe(true)
  expect(await daemon.stop()).toBe(0)
})

test('what must be whole fails at a dead mount, and names it', { timeout: 60_000 }, async (context) => {
  await using dead = await treeWithDeadMount(context)
  await using daemon = await startDaemon()
  const request = { source: dead.tree, destination: `${dead.tree}-copy`, recursive: true }
  const copied = await (await open(daemon.url, 'files.v1.Files/Copy', request)).rest()
  const reason = 'the filesystem that is mounted there does not answer'
  expect(copied.end.error).toMatchObject({ message: `error copying '${dead.mount.path}': ${reason}` })
  await expect(stat(`${dead.tree}-copy`)).rejects.toThrow('ENOENT')
  const removed = await call(daemon.url, 'filesystem.Filesystem/Remove', { path: dead.tree })
  expect(removed).toMatchObject({ status: 500, body: { message: expect.stringContaining('connection timed out') } })
  expect(await readdir(dead.tree)).toEqual(['mounted'])
  expect(await daemon.stop()).toBe(0)
})

test('a polled watch reports what happens beside a dead mount', { timeout: 30_000 }, async (context) => {
  await using outer = await mountFuse(context)
  await using inner = await mountFuse(context, join(outer.path, 'inner'))
  await using daemon = await startDaemon()
  inner.die()
  const request = { path: outer.path, recursive: true, allowNetworkMounts: true }
  const stream = await open<WatchMessage>(daemon.url, 'filesystem.Filesystem/WatchDir', request)
  await stream.next()
  // Not through the mount: only looking at it shows the file.
  await writeFile(join(outer.path, '..', 'origin', 'elsewhere'), 'text')
  expect(await stream.next()).toMatchObject({ filesystem: { name: 'elsewhere' } })
  stream.close()
  expect(await daemon.stop()).toBe(0)
})

/** More than are asked at a time. */
const MOUNTS = 70
const MAX_PROBES = 64

test('many dead mounts hold threads and descriptors of a bounded number', { timeout: 240_000 }, async (context) => {
  await using tree = await makeTmpDir()
  await using all = new AsyncDisposableStack()
  const mounts: DeadMount[] = []
  for (let i = 0; i < MOUNTS; i++) mounts.push(all.use(await mountFuse(context, join(tree.path, `m${i}`))))
  await mkdir(join(tree.path, 'zone'))
  await using daemon = await startDaemon()
  for (const mount of mounts) mount.die()
  const asks = [1, 2, 3].map(() => call(daemon.url, 'filesystem.Filesystem/ListDir', { path: tree.path, depth: 2 }))
  for (const answer of await Promise.all(asks)) expect((answer.body as Entries).entries).toHaveLength(MOUNTS + 1)
  const usage = await streamed(daemon.url, 'files.v1.Files/DiskUsage', { path: tree.path })
  expect(usage.at(-1)).toMatchObject({ summary: { leftOut: String(MOUNTS), entries: '2' } })
  expect(await threadsInFuse(daemon.pid)).toBeLessThanOrEqual(MAX_PROBES)
  // Each of them is asked once.
  const began = performance.now()
  await call(daemon.url, 'filesystem.Filesystem/ListDir', { path: tree.path })
  expect(performance.now() - began).toBeLessThan(3_000)
  // Threads are free again when filesystems answer.
  for (const mount of mounts) mount.end()
  await expect.poll(() => threadsInFuse(daemon.pid), { timeout: 10_000 }).toBe(0)
  const again = await call(daemon.url, 'filesystem.Filesystem/ListDir', { path: tree.path, depth: 2 })
  expect((again.body as Entries).entries).toHaveLength(MOUNTS + 1)
  const request = { path: tree.path, recursive: true }
  const stream = await open<WatchMessage>(daemon.url, 'filesystem.Filesystem/WatchDir', request)
  await stream.next()
  await writeFile(join(tree.path, 'zone', 'new'), 'text')
  expect(await stream.next()).toMatchObject({ filesystem: { name: 'zone/new' } })
  stream.close()
  expect(await daemon.stop()).toBe(0)
})

test('a list shows links to a dead mount at once, and where others lead', async (context) => {
  await using dead = await treeWithDeadMount(context)
  await using daemon = await startDaemon()
  const path = join(dead.tree, 'zone')
  await symlink(join(dead.mount.path, 'hidden'), join(path, 'dead-link'))
  await symlink(dead.mount.path, join(path, 'mount-link'))
  await symlink('last', join(path, 'near-link'))
  await symlink('/dev/shm', join(path, 'far-link'))
  const began = performance.now()
  const listed = await call(daemon.url, 'filesystem.Filesystem/ListDir', { path })
  expect(performance.now() - began).toBeLessThan(3_000)
  const { entries } = listed.body as Entries
  expect(entries.map(({ name }) => name)).toEqual(['dead-link', 'far-link', 'last', 'mount-link', 'near-link'])
  expect(entries.map(({ symlinkTarget }) => symlinkTarget)).toMatchObject({ 1: '/dev/shm', 4: join(path, 'last') })
  expect(await daemon.stop()).toBe(0)
})
