import { closeSync, openSync, readFileSync, statSync } from 'node:fs'
import { mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ENTRY_LAYOUT, unpackEntries, unpackFinished, unpackOpened } from '../../src/native/entries.ts'
import {
  copyAttributes,
  entryLayout,
  finishFile,
  openToWrite,
  readEntries,
  readEntry,
  readNames,
  removeTree,
} from '../../src/native/files.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const PREFIX = 'user.test.'
const me = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
const bytes = (path: string) => Buffer.from(path)
const failure = (code: string, syscall: string) => expect.objectContaining({ code, syscall })

async function entryOf(path: string) {
  const [entry] = unpackEntries(await readEntry(bytes(path), PREFIX))
  if (entry === undefined) throw new Error('no entry')
  return entry
}

test('entries are packed as they are read', () => {
  expect(entryLayout).toBe(ENTRY_LAYOUT)
})

test('an entry is what lstat says', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'f')
  await writeFile(path, 'abc')
  const status = statSync(path, { bigint: true })
  expect(await entryOf(path)).toMatchObject({
    mode: Number(status.mode),
    uid: me.uid,
    size: 3n,
    modifiedSeconds: status.mtimeNs / 1_000_000_000n,
    modifiedNanoseconds: Number(status.mtimeNs % 1_000_000_000n),
    link: undefined,
    attributes: [],
  })
  await expect(readEntry(bytes(join(dir.path, 'no')), PREFIX)).rejects.toEqual(failure('ENOENT', 'lstat'))
  expect(() => readEntry(bytes('a\0b'), PREFIX)).toThrow(expect.objectContaining({ code: 'EINVAL' }))
  // @ts-expect-error a string is no path
  expect(() => readEntry('/tmp', PREFIX)).toThrow(TypeError)
})

test('entries come in byte order, with names of any bytes and where links lead', async () => {
  await using dir = await makeTmpDir()
  const odd = Buffer.from([0xff, 0x41])
  await writeFile(Buffer.concat([bytes(`${dir.path}/`), odd]), '')
  await writeFile(join(dir.path, 'b'), '')
  await symlink('b', join(dir.path, 'to-b'))
  await symlink('nowhere', join(dir.path, 'broken'))
  const entries = [...(await entriesOf(dir.path)).entries]
  expect(entries.map((entry) => entry.name)).toEqual([bytes('b'), bytes('broken'), bytes('to-b'), odd])
  expect(entries[1]?.link).toBe('broken')
  expect(entries[2]?.link).toEqual({ mode: statSync(join(dir.path, 'b')).mode, path: bytes(join(dir.path, 'b')) })
})

async function entriesOf(path: string, limit = 1024) {
  const names = await readNames(bytes(path), 1024)
  const packed = await readEntries(bytes(path), PREFIX, names, limit)
  return { names, used: packed.readUInt32LE(0), entries: [...unpackEntries(packed.subarray(4))] }
}

test('names that take more bytes than allowed are refused, a file has none', async () => {
  await using dir = await makeTmpDir()
  for (const name of ['a', 'b', 'c']) await writeFile(join(dir.path, name), '')
  await expect(readNames(bytes(dir.path), 14)).rejects.toEqual(failure('EOVERFLOW', 'readdir'))
  expect(await readNames(bytes(dir.path), 15)).toHaveLength(15)
  await expect(readNames(bytes(join(dir.path, 'a')), 99)).rejects.toEqual(failure('ENOTDIR', 'open'))
})

test('entries are read as far as they fit, without those that vanished', async () => {
  await using dir = await makeTmpDir()
  for (const name of ['a', 'b', 'c']) await writeFile(join(dir.path, name), '')
  expect(await entriesOf(dir.path, 1)).toMatchObject({ used: 5, entries: [{ name: bytes('a') }] })
  const { names } = await entriesOf(dir.path)
  const cut = await readEntries(bytes(dir.path), PREFIX, names.subarray(0, 13), 1024)
  expect(cut.readUInt32LE(0)).toBe(10)
  await rm(join(dir.path, 'b'))
  const left = await readEntries(bytes(dir.path), PREFIX, names, 1024)
  expect([...unpackEntries(left.subarray(4))].map(({ name }) => name)).toEqual([bytes('a'), bytes('c')])
})

test('a file is made or emptied, and given to its owner', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'f')
  for (const made of [true, false]) {
    const opened = unpackOpened(await openToWrite(bytes(path), me, true))
    expect(opened).toEqual({ fd: expect.any(Number), mode: (await stat(path)).mode, made, size: 0, ownerError: '' })
    expect(readFileSync(path, 'utf8')).toBe('')
    await writeFile(path, 'content')
    if (opened.fd !== undefined) closeSync(opened.fd)
  }
})

test('what is no regular file is not opened', async () => {
  await using dir = await makeTmpDir()
  const opened = unpackOpened(await openToWrite(bytes(dir.path), me, true))
  expect(opened).toEqual({
    fd: undefined,
    mode: (await stat(dir.path)).mode,
    made: false,
    size: expect.any(Number),
    ownerError: '',
  })
  const missing = openToWrite(bytes(join(dir.path, 'no/f')), me, true)
  await expect(missing).rejects.toEqual(failure('ENOENT', 'open'))
})

test('attributes of a prefix are replaced, others stay, and all can be copied', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'f')
  const finish = (prefix: string, pairs: string[]) => finishFile(openSync(path, 'w'), prefix, pairs)
  const read = async (prefix: string) =>
    unpackFinished(await finish(prefix, [])).attributes.map(([name, value]) => [name.toString(), value.toString()])
  await finish('user.other.', ['x', 'kept'])
  expect(unpackFinished(await finish(PREFIX, ['a', '1', 'b', ''])).attributes).toEqual([
    [bytes('a'), bytes('1')],
    [bytes('b'), bytes('')],
  ])
  expect(unpackFinished(await finish(PREFIX, ['b', '2'])).attributes).toEqual([[bytes('b'), bytes('2')]])
  const [from, to] = [openSync(path, 'r'), openSync(join(dir.path, 'copy'), 'w')]
  await copyAttributes(from, to)
  closeSync(from)
  closeSync(to)
  const [copy] = unpackEntries(await readEntry(bytes(join(dir.path, 'copy')), 'user.'))
  expect(copy?.attributes.map(([name]) => name.toString())).toEqual(['other.x', 'test.b'])
  expect(await read(PREFIX)).toEqual([])
})

test('a finished file is closed, also after a failure', async () => {
  await using dir = await makeTmpDir()
  const fd = openSync(join(dir.path, 'f'), 'w')
  await expect(finishFile(fd, PREFIX, ['a'.repeat(300), 'b'])).rejects.toEqual(failure('ERANGE', 'fsetxattr'))
  expect(() => closeSync(fd)).toThrow(expect.objectContaining({ code: 'EBADF' }))
})

test('a tree is removed without following links', async () => {
  await using dir = await makeTmpDir()
  const at = (name: string) => join(dir.path, name)
  await mkdir(at('keep'))
  await writeFile(at('keep/f'), '')
  await mkdir(at('tree/a/b'), { recursive: true })
  await symlink(at('keep'), at('tree/a/link'))
  await removeTree(bytes(at('tree')))
  await removeTree(bytes(at('tree')))
  expect(await readdir(dir.path)).toEqual(['keep'])
  expect(await readdir(at('keep'))).toEqual(['f'])
  await expect(removeTree(bytes(at('keep/f/x')))).rejects.toEqual(failure('ENOTDIR', 'unlinkat'))
})
