import { spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { directoriesBelow, pathsBelow, Replay } from './replay.ts'
import { watchDirectory } from './watching.ts'

const WRITERS = 4
const MILLISECONDS = Number(process.env['CHAOS_MS'] ?? 30_000)
const writer = fileURLToPath(new URL('./fixtures/chaos-writer.ts', import.meta.url))

test('C31 C34 C35 C36 C38 what four writers do to a tree at random, replayed, is the tree that they leave', async () => {
  const seed = Number(process.env['CHAOS_SEED'] ?? randomInt(2 ** 31))
  console.log(`chaos: CHAOS_SEED=${seed}`)
  await using tmp = await makeTmpDir()
  const dir = `${tmp.path}/tree`
  await mkdir(`${dir}/a/b/c`, { recursive: true })
  await using watching = await watchDirectory(dir)
  const replay = new Replay(['a', 'a/b', 'a/b/c'])
  const writers = Array.from({ length: WRITERS }, (_, i) => spawnWriter(dir, seed + i))
  let running = true
  const all = Promise.all(writers).finally(() => {
    running = false
  })
  let count = 0
  const take = async () => {
    const changes = await watching.changes()
    for (const change of changes) replay.apply(change)
    count += changes.length
  }
  while (running) {
    await take()
    await setImmediate()
  }
  await all
  await take()
  console.log(
    `chaos: ${count} changes, ${watching.inotify.overflows} overflows, ${replay.paths.size} entries at the end`,
  )
  expect([...replay.paths].sort()).toEqual([...(await pathsBelow(dir))].sort())
  // Every directory is watched, and under its own name.
  for (const path of await directoriesBelow(dir)) await writeFile(`${dir}/${path}/probe`, '')
  await take()
  expect([...replay.paths].sort()).toEqual([...(await pathsBelow(dir))].sort())
  await rm(dir, { recursive: true })
  await take()
  expect([...replay.paths]).toEqual([])
  await expect.poll(() => watching.inotify.watches).toBe(0)
}, 90_000)

async function spawnWriter(dir: string, seed: number): Promise<void> {
  const child = spawn(process.execPath, [writer, dir, String(seed), String(MILLISECONDS)], { stdio: 'inherit' })
  const [code] = await once(child, 'exit')
  expect(code).toBe(0)
}
