import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { needsRoot } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { watchDirectory } from './watching.ts'

const sh = (command: string, cwd: string) => promisify(execFile)('/bin/sh', ['-ec', command], { cwd })

/** Descriptors and kernel watches of this process. */
async function held(): Promise<{ descriptors: number; watches: number }> {
  const descriptors = await readdir('/proc/self/fd')
  let watches = 0
  for (const fd of descriptors) {
    const info = await readFile(`/proc/self/fdinfo/${fd}`, 'latin1').catch(() => '')
    watches += info.split('\n').filter((line) => line.startsWith('inotify ')).length
  }
  return { descriptors: descriptors.length, watches }
}

test('C40 10,000 watchers that come and go leave descriptors and kernel watches as they were', async () => {
  await using tmp = await makeTmpDir()
  await mkdir(`${tmp.path}/a/b`, { recursive: true })
  await using first = await watchDirectory(tmp.path, { recursive: false })
  const before = await held()
  expect(before.watches).toBeGreaterThanOrEqual(1)
  for (let i = 0; i < 10_000; i++) {
    const watching = await watchDirectory(tmp.path, { inotify: first.inotify, recursive: i % 2 === 0 })
    watching.watcher.close()
  }
  await expect.poll(held).toEqual(before)
  await writeFile(`${tmp.path}/f`, '')
  expect(await first.reported()).toEqual(['CREATE f'])
}, 60_000)

test('two watchers share the watches of the kernel, and each hears everything until it is closed', async () => {
  await using tmp = await makeTmpDir()
  await mkdir(`${tmp.path}/a/b`, { recursive: true })
  await using one = await watchDirectory(tmp.path)
  const alone = await held()
  await using two = await watchDirectory(`${tmp.path}/a`, { inotify: one.inotify })
  expect(await held()).toEqual(alone)
  await writeFile(`${tmp.path}/a/b/f`, '')
  expect(await one.reported()).toEqual(['CREATE a/b/f'])
  expect(await two.reported()).toEqual(['CREATE b/f'])
  one.watcher.close()
  await writeFile(`${tmp.path}/a/b/g`, '')
  expect(await two.reported()).toEqual(['CREATE b/g'])
  expect(await one.reported()).toEqual([])
  await expect.poll(async () => (await held()).watches).toBe(alone.watches - 1)
})

test('C27 what happens right after the start is reported, 1,000 times', async () => {
  await using tmp = await makeTmpDir()
  await using base = await watchDirectory(tmp.path, { recursive: false })
  for (let i = 0; i < 1_000; i++) {
    const dir = `${tmp.path}/${i}`
    await mkdir(`${dir}/in`, { recursive: true })
    await using watching = await watchDirectory(dir, { inotify: base.inotify })
    await writeFile(`${dir}/in/f`, 'x')
    expect(await watching.reported()).toEqual(['CREATE in/f', 'WRITE in/f'])
  }
}, 60_000)

test('what is closed while it is armed, or while directories come, leaves nothing behind', async () => {
  await using tmp = await makeTmpDir()
  await using base = await watchDirectory(tmp.path, { recursive: false })
  await mkdir(`${tmp.path}/root`)
  const before = await held()
  for (let i = 0; i < 30; i++) {
    const watching = await watchDirectory(`${tmp.path}/root`, { inotify: base.inotify })
    const making = sh('for a in 1 2 3 4 5; do for b in 1 2 3 4 5; do mkdir -p $a/$b/c; done; done', `${tmp.path}/root`)
    await expect.poll(() => watching.buffer.length).toBeGreaterThan(0)
    watching.watcher.close()
    const reported = watching.buffer.length
    await making
    await base.reported()
    expect(watching.buffer.length).toBe(reported)
    await rm(`${tmp.path}/root`, { recursive: true })
    await mkdir(`${tmp.path}/root`)
    await base.reported()
  }
  await expect.poll(held).toEqual(before)
})

test('when the kernel allows no more watches, that is said with the name of the limit, and everything is undone', async (context) => {
  needsRoot(context)
  await using tmp = await makeTmpDir()
  await sh('for i in $(seq 60); do mkdir $i; done', tmp.path)
  const script = fileURLToPath(new URL('./fixtures/few-watches.ts', import.meta.url))
  // In a user namespace of its own the process has a limit of its own.
  const limited = 'echo 50 > /proc/sys/user/max_inotify_watches && exec "$0" "$1" "$2"'
  const run = promisify(execFile)('unshare', ['-Ur', '/bin/sh', '-c', limited, process.execPath, script, tmp.path])
  const done = await run.catch((error: { stdout: string; stderr: string }) => error)
  if (done.stdout === '') context.skip(`no user namespace with a limit of its own: ${done.stderr.trim()}`)
  expect(JSON.parse(done.stdout)).toEqual({
    refused: {
      kind: 'resource_exhausted',
      message: `error watching ${tmp.path}: the limit of watched directories is reached (sysctl fs.inotify.max_user_watches)`,
    },
    watchesAfterwards: 1,
    stillTold: ['CREATE 1/f'],
    ended: 'resource_exhausted',
    watchesAtTheEnd: 0,
  })
})
