import { execFile } from 'node:child_process'
import { appendFile, mkdir, mkdtemp, rename, rm, rmdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, type TestContext, test } from 'vitest'
import { needsNamespace } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { pathsBelow, Replay } from './replay.ts'
import { text, watchDirectory } from './watching.ts'

const sh = (command: string, cwd: string) => promisify(execFile)('/bin/sh', ['-ec', command], { cwd })

test('C31 new directories within new ones are reported completely and nothing twice, 1,000 times', async () => {
  await using tmp = await makeTmpDir()
  await using watching = await watchDirectory(tmp.path)
  const count = 1_000
  // One shell, so that the commands follow each other as closely as they can.
  await sh(`i=0; while [ $i -lt ${count} ]; do mkdir -p a$i/b/c/d && echo x > a$i/b/c/d/f; i=$((i+1)); done`, tmp.path)
  const reported = (await watching.reported()).filter((line) => line.startsWith('CREATE'))
  const expected = Array.from({ length: count }, (_, i) =>
    ['', '/b', '/b/c', '/b/c/d', '/b/c/d/f'].map((below) => `CREATE a${i}${below}`),
  ).flat()
  expect(reported.toSorted()).toEqual(expected.toSorted())
})

test('C31 a clone of a repository, reported and replayed, is the clone', async () => {
  await using tmp = await makeTmpDir()
  const git = 'git -c user.name=t -c user.email=t@localhost -c init.defaultBranch=main'
  await sh(
    `mkdir origin watched; cd origin; ${git} init -q
    for d in 1 2 3 4 5 6 7 8; do mkdir -p d$d/e/f
      for n in 1 2 3 4 5; do echo $n > d$d/$n; echo $n > d$d/e/f/$n; done; done
    git add .; ${git} commit -qm first`,
    tmp.path,
  )
  await using watching = await watchDirectory(`${tmp.path}/watched`)
  await sh('git clone -q ../origin clone', `${tmp.path}/watched`)
  const replay = new Replay([])
  for (const change of await watching.changes()) replay.apply(change)
  expect([...replay.paths].sort()).toEqual([...(await pathsBelow(`${tmp.path}/watched`))].sort())
})

test('C31 a big tree that is moved in is reported completely, and watched', async () => {
  await using tmp = await makeTmpDir()
  await mkdir(`${tmp.path}/root`)
  const many = 'for i in $(seq 300); do mkdir -p big/$((i % 10))/$i; echo x > big/$((i % 10))/$i/f; done'
  await sh(many, tmp.path)
  await using watching = await watchDirectory(`${tmp.path}/root`)
  await rename(`${tmp.path}/big`, `${tmp.path}/root/big`)
  const reported = await watching.reported()
  expect(reported.toSorted()).toEqual(
    [...(await pathsBelow(`${tmp.path}/root`))].map((path) => `CREATE ${path}`).toSorted(),
  )
  expect(watching.inotify.watches).toBe(312)
  await writeFile(`${tmp.path}/root/big/7/297/g`, '')
  expect(await watching.reported()).toEqual(['CREATE big/7/297/g'])
})

test('C34 a renamed directory takes along what is in it, and nothing that only begins with its name', async () => {
  await using tmp = await makeTmpDir()
  await mkdir(`${tmp.path}/foo/in`, { recursive: true })
  await mkdir(`${tmp.path}/foobar`)
  await using watching = await watchDirectory(tmp.path)
  await rename(`${tmp.path}/foo`, `${tmp.path}/bar`)
  await writeFile(`${tmp.path}/foobar/x`, '')
  await writeFile(`${tmp.path}/bar/in/y`, '')
  await mkdir(`${tmp.path}/foo`)
  await writeFile(`${tmp.path}/foo/n`, '')
  expect(await watching.reported()).toEqual([
    'RENAME foo',
    'CREATE bar',
    'CREATE bar/in',
    'CREATE foobar/x',
    'CREATE bar/in/y',
    'CREATE foo',
    'CREATE foo/n',
  ])
  await writeFile(`${tmp.path}/foo/m`, '')
  await writeFile(`${tmp.path}/bar/m`, '')
  expect(await watching.reported()).toEqual(['CREATE foo/m', 'CREATE bar/m'])
})

test.each([
  ['mkdir a; mv a b; mkdir a'],
  ['mkdir a; mv a b; mkdir a; mv b c; mv a b; mkdir a'],
  ['mkdir -p a/new; mv a b; mkdir -p a/new'],
  ['mkdir -p x/a; mv x/a b; rmdir x; mkdir -p x/a'],
  ['mkdir a b; rmdir b; mv a b; mkdir a; rmdir a'],
  ['mkdir a; mkdir a/in; mv a b; mv b/in c; rmdir b; mkdir b'],
  ['mkdir d e; mv -T d e; mkdir d; mv -T e d'],
])('C34 C35 `%s`, as fast as it goes: every directory is watched under its own name', async (command) => {
  await using tmp = await makeTmpDir()
  await using watching = await watchDirectory(tmp.path)
  for (let round = 0; round < 20; round++) {
    const dir = await mkdtemp(`${tmp.path}/r`)
    await sh(command, dir)
    await watching.reported()
    const paths = [...(await pathsBelow(dir))]
    for (const path of paths) await writeFile(join(dir, path, 'probe'), '')
    const name = dir.slice(tmp.path.length + 1)
    expect(await watching.reported()).toEqual(paths.map((path) => `CREATE ${name}/${path}/probe`))
  }
})

test('C35 directories that vanish while they are being armed end nothing', async () => {
  await using tmp = await makeTmpDir()
  await using watching = await watchDirectory(tmp.path)
  await sh('i=0; while [ $i -lt 500 ]; do mkdir -p a/b; rmdir a/b a; i=$((i+1)); done', tmp.path)
  const replay = new Replay([])
  for (const change of await watching.changes()) replay.apply(change)
  expect([...replay.paths]).toEqual([])
  await writeFile(`${tmp.path}/still`, '')
  expect(await watching.reported()).toEqual(['CREATE still'])
  await expect.poll(() => watching.inotify.watches).toBe(1)
})

test('C37 a link to a directory is watched like the directory, recursively as well', async () => {
  await using tmp = await makeTmpDir()
  await mkdir(`${tmp.path}/real/sub`, { recursive: true })
  await symlink('real', `${tmp.path}/link`)
  await using watching = await watchDirectory(`${tmp.path}/link`)
  await writeFile(`${tmp.path}/real/sub/f`, '')
  await mkdir(`${tmp.path}/link/new`)
  await writeFile(`${tmp.path}/link/new/g`, '')
  expect(await watching.reported()).toEqual(['CREATE sub/f', 'CREATE new', 'CREATE new/g'])
})

test('C38 a directory that was moved out of the tree is not watched any more', async () => {
  await using tmp = await makeTmpDir()
  await mkdir(`${tmp.path}/root/z/deep`, { recursive: true })
  await using watching = await watchDirectory(`${tmp.path}/root`)
  await rename(`${tmp.path}/root/z`, `${tmp.path}/zout`)
  await writeFile(`${tmp.path}/zout/leak`, '')
  await writeFile(`${tmp.path}/zout/deep/leak`, '')
  expect(await watching.reported()).toEqual(['RENAME z'])
  await mkdir(`${tmp.path}/root/z`)
  await writeFile(`${tmp.path}/root/z/new`, '')
  await rm(`${tmp.path}/zout`, { recursive: true })
  expect(await watching.reported()).toEqual(['CREATE z', 'CREATE z/new'])
  await expect.poll(() => watching.inotify.watches).toBe(2)
})

test('C31 names that are not UTF-8 and names with line breaks are reported, and watched if they are directories', async () => {
  await using tmp = await makeTmpDir()
  await using watching = await watchDirectory(tmp.path)
  const odd = Buffer.concat([Buffer.from(`${tmp.path}/`), Buffer.from([0x6e, 0xff, 0x0a])])
  await mkdir(odd)
  await watching.watcher.settled()
  await writeFile(Buffer.concat([odd, Buffer.from('/f')]), '')
  await mkdir(`${tmp.path}/line\nbreak/ü`, { recursive: true })
  await writeFile(`${tmp.path}/line\nbreak/ü/f`, '')
  expect(await watching.reported()).toEqual([
    'CREATE n\ufffd\n',
    'CREATE n\ufffd\n/f',
    'CREATE line\nbreak',
    'CREATE line\nbreak/ü',
    'CREATE line\nbreak/ü/f',
  ])
})

/** RENAME_EXCHANGE of rename(2), which no shell command does. */
async function exchange(cwd: string, context: TestContext): Promise<void> {
  const script = `
import ctypes, sys
sys.exit(0 if ctypes.CDLL(None).renameat2(-100, b'one', -100, b'two', 2) == 0 else 77)`
  const done = await promisify(execFile)('python3', ['-c', script], { cwd }).catch(() => undefined)
  if (done === undefined) context.skip('this file system cannot exchange names')
}

test('C28 C29 two files whose names are exchanged are reported as two renames, as the kernel reports them', async (context) => {
  await using tmp = await makeTmpDir()
  await sh('touch one two', tmp.path)
  await using watching = await watchDirectory(tmp.path)
  await exchange(tmp.path, context)
  expect(await watching.reported()).toEqual(['RENAME one', 'CREATE two', 'RENAME two', 'CREATE one'])
  await rm(`${tmp.path}/two`)
  await appendFile(`${tmp.path}/one`, 'x')
  expect(await watching.reported()).toEqual(['REMOVE two', 'WRITE one'])
})

test('C31 C38 two directories whose names are exchanged: what differs from two renames has been reported once it is settled', async (context) => {
  await using tmp = await makeTmpDir()
  await sh('mkdir one two; touch one/1 two/2', tmp.path)
  await using watching = await watchDirectory(tmp.path)
  await exchange(tmp.path, context)
  expect(await watching.reported()).toEqual([
    ...['RENAME one', 'CREATE two', 'CREATE two/1', 'RENAME two', 'CREATE one', 'CREATE one/1'],
    ...['CREATE two', 'CREATE two/1', 'REMOVE one/1', 'CREATE one/2'],
  ])
})

test('C31 C38 the names of two directories that are exchanged are exchanged', async (context) => {
  await using tmp = await makeTmpDir()
  await sh('mkdir one two; touch one/1', tmp.path)
  await using watching = await watchDirectory(tmp.path)
  await exchange(tmp.path, context)
  const replay = new Replay(['one', 'two', 'one/1'])
  for (const change of await watching.changes()) replay.apply(change)
  expect([...replay.paths].sort()).toEqual(['one', 'two', 'two/1'])
  await writeFile(`${tmp.path}/one/x`, '')
  await writeFile(`${tmp.path}/two/y`, '')
  expect(await watching.reported()).toEqual(['CREATE one/x', 'CREATE two/y'])
})

test('C31 what is mounted below is watched, and what was hidden by it when it is unmounted', async (context) => {
  needsNamespace(context)
  await using tmp = await makeTmpDir()
  await sh('mkdir -p m/hidden; mount -t tmpfs none m; mkdir m/d', tmp.path)
  await using watching = await watchDirectory(tmp.path)
  await writeFile(`${tmp.path}/m/d/f`, '')
  expect(await watching.reported()).toEqual(['CREATE m/d/f'])
  await sh('umount m', tmp.path)
  expect(await watching.reported()).toEqual(['REMOVE m/d/f', 'REMOVE m/d', 'CREATE m/hidden'])
  await writeFile(`${tmp.path}/m/hidden/g`, '')
  expect(await watching.reported()).toEqual(['CREATE m/hidden/g'])
})

test('C31 the whole file system can be watched; those of the kernel in it are left out', {
  // A machine may have millions of files.
  timeout: 120_000,
}, async (context) => {
  needsNamespace(context)
  await using tmp = await makeTmpDir()
  await using watching = await watchDirectory('/', { recursive: true })
  await mkdir(`${tmp.path}/new`)
  await writeFile(`${tmp.path}/new/f`, '')
  const reported = (await watching.changes()).map(text).filter((line) => line.includes(tmp.path.slice(1)))
  expect(reported).toEqual([`CREATE ${tmp.path.slice(1)}/new`, `CREATE ${tmp.path.slice(1)}/new/f`])
  await rmdir(`${tmp.path}/new`).catch(() => {})
})
