import { execFile } from 'node:child_process'
import { mkdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { needsNamespace } from '../_util/namespace.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'
import { watchDirectory } from './watching.ts'

const sh = (command: string, cwd: string) => promisify(execFile)('/bin/sh', ['-ec', command], { cwd })

async function makeRoot(path: string): Promise<string> {
  await mkdir(`${path}/root/sub`, { recursive: true })
  await writeFile(`${path}/root/f`, '')
  return `${path}/root`
}

test.each([true, false])(
  'C33 a watched directory that is removed is reported last, then the watching ends (recursive: %s)',
  async (recursive) => {
    await using tmp = await makeTmpDir()
    const root = await makeRoot(tmp.path)
    await using watching = await watchDirectory(root, { recursive })
    await rm(root, { recursive: true })
    const reported = await watching.reported()
    expect(reported.toSorted()).toEqual(['REMOVE .', 'REMOVE f', 'REMOVE sub'])
    expect(reported.at(-1)).toBe('REMOVE .')
    expect(watching.buffer.ended).toMatchObject({
      kind: 'not_found',
      message: `the watched directory ${root} was removed`,
    })
    await expect.poll(() => watching.inotify.watches).toBe(0)
  },
)

test('C33 a watched directory that is moved is reported last, then the watching ends', async () => {
  await using tmp = await makeTmpDir()
  const root = await makeRoot(tmp.path)
  await using watching = await watchDirectory(root)
  await rename(root, `${tmp.path}/elsewhere`)
  await writeFile(`${tmp.path}/elsewhere/g`, '')
  expect(await watching.reported()).toEqual(['RENAME .'])
  expect(watching.buffer.ended).toMatchObject({ kind: 'not_found', message: `the watched directory ${root} was moved` })
})

test('C33 a watched directory that is made anew is not taken for the old one', async () => {
  await using tmp = await makeTmpDir()
  const root = await makeRoot(tmp.path)
  await using watching = await watchDirectory(root)
  await sh('mkdir root/new; rm -rf root; mkdir -p root/new', tmp.path)
  const reported = await watching.reported()
  expect(reported).not.toContain('CREATE new/x')
  expect(watching.buffer.ended).toMatchObject({ kind: 'not_found' })
  await using again = await watchDirectory(root, { inotify: watching.inotify })
  await writeFile(`${root}/new/x`, '')
  expect(await again.reported()).toEqual(['CREATE new/x'])
})

test('C33 when what is above the watched directory was moved, the watching ends with the next new directory', async () => {
  await using tmp = await makeTmpDir()
  await mkdir(`${tmp.path}/above/root`, { recursive: true })
  const root = `${tmp.path}/above/root`
  await using watching = await watchDirectory(root)
  await rename(`${tmp.path}/above`, `${tmp.path}/moved`)
  await mkdir(`${root}/new`, { recursive: true })
  await writeFile(`${tmp.path}/moved/root/f`, '')
  expect(await watching.reported()).toEqual(['CREATE f'])
  await mkdir(`${tmp.path}/moved/root/new`)
  expect(await watching.reported()).toEqual(['CREATE new'])
  expect(watching.buffer.ended).toMatchObject({ kind: 'not_found', message: expect.stringContaining(root) })
})

test('C33 a watched mount that is unmounted ends the watching', async (context) => {
  needsNamespace(context)
  await using tmp = await makeTmpDir()
  await sh('mkdir m; mount -t tmpfs none m', tmp.path)
  await using watching = await watchDirectory(`${tmp.path}/m`)
  await sh('umount m', tmp.path)
  expect(await watching.reported()).toEqual([])
  expect(watching.buffer.ended).toMatchObject({
    kind: 'not_found',
    message: `the watched directory ${tmp.path}/m was unmounted`,
  })
})

test('C26 what cannot be watched is refused with a message that reads well', async () => {
  await using tmp = await makeTmpDir()
  const at = (name: string) => `${tmp.path}/${name}`
  await writeFile(at('file'), '')
  await symlink('loop', at('loop'))
  const refused = (path: string) => expect(watchDirectory(path)).rejects
  await refused(at('none')).toMatchObject({
    kind: 'not_found',
    message: `path ${at('none')} not found: stat ${at('none')}: no such file or directory`,
  })
  await refused(at('file')).toMatchObject({
    kind: 'invalid_argument',
    message: `path ${at('file')} is not a directory`,
  })
  await refused(at('file/x')).toMatchObject({
    kind: 'internal',
    message: `error getting file info of ${at('file/x')}: stat ${at('file/x')}: not a directory`,
  })
  await refused(at('loop')).toMatchObject({
    kind: 'internal',
    message: expect.stringMatching(/too many levels of symbolic links$/),
  })
  await refused(at('nul\0byte')).toMatchObject({
    kind: 'invalid_argument',
    message: expect.stringContaining('invalid argument'),
  })
})
