import { execFile } from 'node:child_process'
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { startDaemon } from '../_util/daemon.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { descriptors } from '../process/proc.ts'
import { nextOf, watchCalls } from '../watch/watch-calls.ts'

const run = promisify(execFile)

/** Makes directories `d` in one another, and an `e` beside every tenth. No path reaches those at the end of 5,000. */
async function nest(directory: string, levels: number): Promise<void> {
  const script = `
    process.chdir(process.argv[1])
    for (let level = 0; level < ${levels}; level++) {
      if (level % 10 === 0) require('fs').mkdirSync('e')
      require('fs').mkdirSync('d')
      process.chdir('d')
    }`
  await run(process.execPath, ['-e', script, directory])
}

const path = (levels: number) => 'd/'.repeat(levels)

async function startWithFewDescriptors() {
  const daemon = await startDaemon()
  const limit = (await descriptors(daemon.pid)) + 110
  await run('prlimit', ['--pid', String(daemon.pid), `--nofile=${limit}`])
  return { ...daemon, ...watchCalls(() => daemon.url) }
}

test('directories of 1,500 levels are watched with 110 descriptors', async () => {
  await using dir = await makeTmpDir()
  await nest(dir.path, 1500)
  await using daemon = await startWithFewDescriptors()
  const stream = await daemon.watchDir({ path: dir.path, recursive: true })
  for (const place of [`${path(1500)}f`, `${path(1490)}e/f`, `${path(10)}e/f`, 'e/f']) {
    await writeFile(`${dir.path}/${place}`, '')
    expect(await nextOf(stream, 1)).toEqual([`CREATE ${place}`])
  }
  stream.close()
})

test('what no path reaches ends no watch, and is deleted with 110 descriptors', async () => {
  await using dir = await makeTmpDir()
  await mkdir(`${dir.path}/watched/deep`, { recursive: true })
  await mkdir(`${dir.path}/deeper`)
  await nest(`${dir.path}/watched/deep`, 5000)
  await nest(`${dir.path}/deeper`, 5000)
  await using daemon = await startWithFewDescriptors()
  const stream = await daemon.watchDir({ path: `${dir.path}/watched`, recursive: true })
  await rename(`${dir.path}/deeper`, `${dir.path}/watched/deeper`)
  expect(await nextOf(stream, 1)).toEqual(['CREATE deeper'])
  const last = `deeper/${path(2000)}f`
  const reported = (async () => {
    for (;;) if ((await nextOf(stream, 1)).includes(`CREATE ${last}`)) return
  })()
  await writeFile(`${dir.path}/watched/${last}`, '')
  await reported
  stream.close()
  const removed = await daemon.unary('Remove', { path: `${dir.path}/watched` })
  expect(removed.body).toEqual({})
  expect(await readdir(dir.path)).toEqual([])
})

test('directories of 1,900 levels are listed to the last one', async () => {
  await using dir = await makeTmpDir()
  await nest(dir.path, 1900)
  await using daemon = await startWithFewDescriptors()
  const { body } = await daemon.unary('ListDir', { path: dir.path, depth: 2000 })
  const entries = Array.from({ length: 1900 + 190 }, () => expect.anything())
  expect(body).toEqual({ entries: [...entries.slice(1), expect.objectContaining({ name: 'e' })] })
})
