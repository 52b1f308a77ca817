import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { Inotify } from '../../src/watch/inotify.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { pathsBelow, Replay } from './replay.ts'
import { silent, watchDirectory } from './watching.ts'

/**
 * Fills the kernel's queue: two files in turn, as equal events one after the other are reported once. Nothing is read
 * meanwhile.
 */
function overflow(one: string, two: string, limit: number): void {
  for (let i = 0; i <= limit / 2; i++) {
    chmodSync(one, 0o600)
    chmodSync(two, 0o600)
  }
}

async function limitOf(name: string): Promise<number> {
  return Number(await readFile(`/proc/sys/fs/inotify/${name}`, 'latin1'))
}

test("C36 after an overflow of the kernel's queue what differs on the disk is reported, and watching goes on", async () => {
  const limit = await limitOf('max_queued_events')
  await using tmp = await makeTmpDir()
  await mkdir(`${tmp.path}/gone/deep`, { recursive: true })
  await mkdir(`${tmp.path}/renamed`)
  await mkdir(`${tmp.path}/kind`)
  for (const name of ['one', 'two', 'gone/f', 'gone/deep/f', 'renamed/f']) await writeFile(`${tmp.path}/${name}`, '')
  const replay = new Replay(await pathsBelow(tmp.path))
  const warnings: string[] = []
  await using inotify = closing(new Inotify({ log: { ...silent, warn: (_, message) => warnings.push(message) } }))
  await using watching = await watchDirectory(tmp.path, { inotify })
  await using other = await watchDirectory(`${tmp.path}/renamed`, { inotify })
  overflow(`${tmp.path}/one`, `${tmp.path}/two`, limit)
  // None of this fits into the queue any more.
  rmSync(`${tmp.path}/gone`, { recursive: true })
  renameSync(`${tmp.path}/renamed`, `${tmp.path}/other`)
  mkdirSync(`${tmp.path}/new/deep`, { recursive: true })
  writeFileSync(`${tmp.path}/new/deep/f`, '')
  rmSync(`${tmp.path}/kind`, { recursive: true })
  writeFileSync(`${tmp.path}/kind`, '')
  await watching.watcher.settled()
  const changes = await readAll(watching)
  for (const change of changes) replay.apply(change)
  expect([...replay.paths].sort()).toEqual([...(await pathsBelow(tmp.path))].sort())
  expect(watching.inotify.overflows).toBe(1)
  expect(warnings).toHaveLength(1)
  await writeFile(`${tmp.path}/new/deep/g`, '')
  await writeFile(`${tmp.path}/other/g`, '')
  expect(await watching.reported()).toEqual(['CREATE new/deep/g', 'CREATE other/g'])
  expect(other.buffer.ended).toMatchObject({ kind: 'not_found' })
}, 60_000)

test('C36 20,000 files that are made while the event loop is busy are all reported', async () => {
  await using tmp = await makeTmpDir()
  await mkdir(`${tmp.path}/in`)
  await using watching = await watchDirectory(tmp.path)
  for (let i = 0; i < 20_000; i++) writeFileSync(`${tmp.path}/in/${i}`, '')
  const reported = new Set((await readAll(watching)).map(({ name }) => name))
  expect(reported.size).toBe(20_000)
})

test('C36 a root that is gone after an overflow ends the watching, with everything in it reported as removed', async () => {
  const limit = await limitOf('max_queued_events')
  await using tmp = await makeTmpDir()
  const root = `${tmp.path}/root`
  await mkdir(`${root}/sub`, { recursive: true })
  for (const name of ['one', 'two']) await writeFile(`${root}/${name}`, '')
  await using watching = await watchDirectory(root)
  overflow(`${root}/one`, `${root}/two`, limit)
  rmSync(root, { recursive: true })
  mkdirSync(root)
  const last = (await readAll(watching)).slice(-4).map(({ name }) => name)
  expect(last.toSorted()).toEqual(['.', 'one', 'sub', 'two'])
  expect(watching.buffer.ended).toMatchObject({ kind: 'not_found', message: expect.stringContaining(root) })
}, 60_000)

/** Also when so much was reported that the buffer has dropped the oldest of it. */
async function readAll(watching: Awaited<ReturnType<typeof watchDirectory>>) {
  return watching.changes().catch(() => watching.changes())
}

function closing(inotify: Inotify): Inotify & AsyncDisposable {
  return Object.assign(inotify, { [Symbol.asyncDispose]: async () => inotify.close() })
}
