import { randomBytes } from 'node:crypto'
import { mkdir, open, readdir, readFile, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, type TestContext, test } from 'vitest'
import { makeLoopDisk, needsLoopDisks } from '../_util/loop-disk.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { serveFiles } from './served.ts'

const LARGE = 40_000_000

/** A copy of a tree on a filesystem of its own, which has to share what is in it. */
async function copyShared(context: TestContext, kind: 'xfs' | 'btrfs'): Promise<void> {
  await needsLoopDisks(context, kind)
  await using dir = await makeTmpDir()
  await using files = await serveFiles()
  await using disk = await makeLoopDisk(dir.path, context, kind)
  const [source, destination] = [join(disk.path, 'from'), join(disk.path, 'to')]
  await mkdir(source)
  const content = randomBytes(LARGE)
  await writeFile(join(source, 'large'), content)
  await writeFile(join(source, 'small'), 'small')
  // Of a length that is no multiple of a block.
  await writeFile(join(source, 'odd'), content.subarray(0, 12_345))
  const before = await free(disk.path)
  let shared = 0n
  for await (const progress of files.copy({ source, destination, recursive: true }, { user: 'root' }))
    shared = progress.state.shared
  expect(shared).toBeGreaterThanOrEqual(BigInt(LARGE))
  expect(before - (await free(disk.path))).toBeLessThan(LARGE / 4)
  expect((await readdir(disk.path)).filter((name) => name.includes('envd'))).toEqual([])
  for (const name of ['large', 'small', 'odd'])
    expect((await readFile(join(destination, name))).equals(await readFile(join(source, name))), name).toBe(true)
  await using copy = await open(join(destination, 'large'), 'r+')
  await copy.write('changed', 1_000_000)
  expect((await readFile(join(source, 'large'))).equals(content)).toBe(true)
}

/** Bytes that are free once all is on the disk. */
async function free(path: string): Promise<number> {
  await using directory = await open(path)
  await directory.sync()
  const { bavail, bsize } = await statfs(path)
  return bavail * bsize
}

test('on xfs a copy shares the place of its source until one of both changes', (context) => copyShared(context, 'xfs'))

test('on btrfs a copy shares the place of its source until one of both changes', (context) =>
  copyShared(context, 'btrfs'))
