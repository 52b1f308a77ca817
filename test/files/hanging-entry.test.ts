import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { mountHanging, threadsInFuse } from '../_util/dead-mount.ts'
import { sendWhole } from '../_util/http.ts'
import { call, open } from '../_util/rpc.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

async function streamed(url: string, method: string, message: unknown) {
  const { messages, end } = await (await open<unknown>(url, `files.v1.Files/${method}`, message)).rest()
  return { last: messages.at(-1), error: end.error?.message }
}

async function getWithTrailers(url: string) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    get(url, { headers: { te: 'trailers' } }, resolve).on('error', reject)
  })
  await response.toArray()
  return response.trailers
}

test('a directory that is never listed, in a mount that answers, holds a call for half a minute', {
  timeout: 120_000,
}, async (context) => {
  await using daemon = await startDaemon()
  await using copies = await makeTmpDir()
  // Gone before the daemon is, which cannot be killed while it waits for it.
  await using mount = await mountHanging(context, ['first', 'never-list/'])
  const { path } = mount
  const { url } = daemon
  const hanging = join(path, 'never-list')
  const reason = 'the filesystem that is mounted there does not answer'
  const copying = { source: path, destination: join(copies.path, 'copy'), recursive: true }
  const [usage, copied, sums, trailers, listed, removed] = await Promise.all([
    streamed(url, 'DiskUsage', { path }),
    streamed(url, 'Copy', copying),
    streamed(url, 'Checksum', { path }),
    getWithTrailers(`${url}/files?path=${path}&format=tar`),
    call(url, 'filesystem.Filesystem/ListDir', { path: hanging }),
    call(url, 'filesystem.Filesystem/Remove', { path: hanging }),
  ])
  expect(usage.error).toBe(`error measuring '${hanging}': ${reason}`)
  expect(copied.error).toBe(`error copying '${hanging}': ${reason}`)
  // These leave out what cannot be read.
  expect(sums).toMatchObject({ last: { summary: { leftOut: '1' } }, error: undefined })
  expect(trailers).toMatchObject({ 'x-left-out': expect.stringContaining('1;') })
  for (const { status, body } of [listed, removed]) {
    expect(status).toBe(500)
    expect(body).toMatchObject({ message: expect.stringContaining('the filesystem does not answer') })
  }
  expect(await threadsInFuse(daemon.pid)).toBeGreaterThan(0)
  expect((await sendWhole(`${url}/health`)).status).toBe(204)
  // What waits for it cannot be killed before.
  mount.end()
  expect(await daemon.stop()).toBe(0)
})

test('an entry that never says what it is holds a call for half a minute', { timeout: 120_000 }, async (context) => {
  await using daemon = await startDaemon()
  await using mount = await mountHanging(context, ['first', 'never-stat'])
  const { path } = mount
  const { url } = daemon
  const entry = join(path, 'never-stat')
  const [usage, listed, found, beside] = await Promise.all([
    streamed(url, 'DiskUsage', { path }),
    call(url, 'filesystem.Filesystem/ListDir', { path }),
    call(url, 'filesystem.Filesystem/Stat', { path: entry }),
    call(url, 'filesystem.Filesystem/Stat', { path: join(path, 'first') }),
  ])
  expect(usage.error).toMatch(new RegExp(`^error measuring '${path}.*does not answer$`))
  for (const { status, body } of [listed, found]) {
    expect(status).toBe(500)
    expect(body).toMatchObject({ message: expect.stringContaining('the filesystem does not answer') })
  }
  expect(beside.status).toBe(200)
  // What waits for it cannot be killed before.
  mount.end()
  expect(await daemon.stop()).toBe(0)
})
