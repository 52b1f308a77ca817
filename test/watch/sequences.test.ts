import { execFile } from 'node:child_process'
import { appendFile, chmod, mkdir, rename, truncate, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { watchDirectory } from './watching.ts'

const sh = (command: string, cwd: string) => promisify(execFile)('/bin/sh', ['-ec', command], { cwd })

/** What is reported for a command in a directory with `old` (a file) and `dir/inner` (a file in a directory). */
async function reportedFor(command: string, recursive = false): Promise<string[]> {
  await using tmp = await makeTmpDir()
  const root = `${tmp.path}/root`
  await mkdir(`${root}/dir`, { recursive: true })
  await mkdir(`${tmp.path}/outside`)
  await writeFile(`${root}/old`, 'old')
  await writeFile(`${root}/dir/inner`, 'inner')
  await writeFile(`${tmp.path}/outside/foreign`, 'foreign')
  await using watching = await watchDirectory(root, { recursive })
  await sh(command, root)
  const reported = await watching.reported()
  expect(watching.buffer.ended).toBeUndefined()
  return reported
}

test.each([
  ['echo x > new', ['CREATE new', 'WRITE new']],
  ['echo x >> old', ['WRITE old']],
  ['touch new', ['CREATE new', 'CHMOD new']],
  ['touch old', ['CHMOD old']],
  ['mv old new', ['RENAME old', 'CREATE new']],
  ['mv old ../outside', ['RENAME old']],
  ['mv ../outside/foreign .', ['CREATE foreign']],
  ['chmod 600 old', ['CHMOD old']],
  ['chmod 700 dir', ['CHMOD dir']],
  ['ln old hard', ['CREATE hard', 'CHMOD old']],
  ['ln -s old soft', ['CREATE soft']],
  ['truncate -s 1 old', ['WRITE old']],
  ['rm old', ['REMOVE old']],
  ['mkdir -p x/y/z', ['CREATE x']],
  ['rm -r dir', ['REMOVE dir']],
])('C28 C29 `%s` is reported as clients know it', async (command, expected) => {
  // A link changes the count of links of the other name as well, which some file systems report.
  const reported = await reportedFor(command)
  expect(command.startsWith('ln old') ? reported.slice(0, 1) : reported).toEqual(
    command.startsWith('ln old') ? expected.slice(0, 1) : expected,
  )
})

test('C29 an editor that writes a new file and renames it over the old one (vim, `sed -i`)', async () => {
  const reported = await reportedFor('echo x > .old.swp; chmod 600 .old.swp; mv .old.swp old')
  expect(reported).toEqual(['CREATE .old.swp', 'WRITE .old.swp', 'CHMOD .old.swp', 'RENAME .old.swp', 'CREATE old'])
})

test('C29 an editor that keeps the old file as a backup (vim with backupcopy=no)', async () => {
  const reported = await reportedFor('mv old old~; echo x > old; chmod 600 old; rm old~')
  expect(reported).toEqual(['RENAME old', 'CREATE old~', 'CREATE old', 'WRITE old', 'CHMOD old', 'REMOVE old~'])
})

test('C29 C31 a directory that is removed with all that is in it is told from the bottom up', async () => {
  expect(await reportedFor('rm -r dir', true)).toEqual(['REMOVE dir/inner', 'REMOVE dir'])
})

test('C29 C31 a directory that is moved in is reported with all that is in it', async () => {
  const reported = await reportedFor('mkdir ../outside/a; echo x > ../outside/a/b; mv ../outside/a .', true)
  expect(reported).toEqual(['CREATE a', 'CREATE a/b'])
})

test('C29 C34 a directory that is renamed is reported under its old and its new name, with all that is in it', async () => {
  const reported = await reportedFor('mv dir new; echo x >> new/inner', true)
  expect(reported).toEqual(['RENAME dir', 'CREATE new', 'CREATE new/inner', 'WRITE new/inner'])
})

test('C28 one change of several kinds is reported in the order CREATE, RENAME, CHMOD, WRITE, REMOVE', async () => {
  const { typesOf } = await import('../../src/watch/change.ts')
  const { EventType } = await import('../../src/gen/filesystem/filesystem_pb.js')
  expect(typesOf(0xfff).map((type) => EventType[type])).toEqual(['CREATE', 'RENAME', 'CHMOD', 'WRITE', 'REMOVE'])
  expect(typesOf(0x1 | 0x8 | 0x10 | 0x20)).toEqual([])
})

test('C30 names are relative to the watched directory, which is called `.` itself', async () => {
  await using tmp = await makeTmpDir()
  const root = `${tmp.path}/root`
  await mkdir(`${root}/a/b`, { recursive: true })
  await using watching = await watchDirectory(`${root}//a/../`)
  await chmod(root, 0o700)
  await chmod(`${root}/a/b`, 0o700)
  await writeFile(`${root}/a/b/f`, '')
  expect(await watching.reported()).toEqual(['CHMOD .', 'CHMOD a/b', 'CREATE a/b/f'])
})

test('C31 without recursion nothing is reported from below the directories in the watched one', async () => {
  await using tmp = await makeTmpDir()
  await mkdir(`${tmp.path}/a/b`, { recursive: true })
  await using watching = await watchDirectory(tmp.path, { recursive: false })
  await writeFile(`${tmp.path}/a/f`, 'x')
  await rename(`${tmp.path}/a/b`, `${tmp.path}/a/c`)
  await mkdir(`${tmp.path}/d`)
  await writeFile(`${tmp.path}/d/f`, 'x')
  await truncate(`${tmp.path}/a/f`)
  expect(await watching.reported()).toEqual(['CREATE d'])
  expect(watching.inotify.watches).toBe(1)
})

test('C32 a change to the attributes of a directory below is reported once', async () => {
  await using tmp = await makeTmpDir()
  await mkdir(`${tmp.path}/a`)
  await using watching = await watchDirectory(tmp.path)
  await chmod(`${tmp.path}/a`, 0o700)
  expect(await watching.reported()).toEqual(['CHMOD a'])
  await chmod(`${tmp.path}/a`, 0o755)
  await appendFile(`${tmp.path}/a/f`, 'x')
  expect(await watching.reported()).toEqual(['CHMOD a', 'CREATE a/f', 'WRITE a/f'])
})
