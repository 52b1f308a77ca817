import { openSync } from 'node:fs'
import { chmod, rename, rm, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { unpackEntries } from '../../src/native/entries.ts'
import { finishFile, hasVersion, readCachedEntry, readEntry, readVersion } from '../../src/native/files.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const PREFIX = 'user.e2b.'
const ROOT = { uid: 0, gid: 0 }
const bytes = (path: string) => Buffer.from(path)

const setAttributes = (path: string, pairs: readonly string[]) => finishFile(openSync(path, 'r+'), PREFIX, pairs)

/** Old enough for its time of change to tell of the next one. */
async function makeSettledFile(path: string): Promise<void> {
  await writeFile(path, 'content')
  await expect
    .poll(async () => {
      await readEntry(bytes(path), PREFIX, ROOT)
      return readCachedEntry(bytes(path), PREFIX, ROOT)
    })
    .toBeDefined()
}

test('a file that was looked at is answered from caches, with the same facts', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'file')
  await makeSettledFile(path)
  expect(readCachedEntry(bytes(path), PREFIX, ROOT)).toEqual(await readEntry(bytes(path), PREFIX, ROOT))
})

test('what changed is not answered from caches until it was looked at again', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'file')
  const changes: readonly (() => unknown)[] = [
    () => setAttributes(path, ['a', 'b']),
    () => truncate(path, 3),
    () => chmod(path, 0o600),
    () => utimes(path, 1, 2),
    async () => {
      await writeFile(`${path}.new`, 'other')
      await rename(`${path}.new`, path)
    },
    async () => {
      await rename(path, `${path}.old`)
      await symlink('/etc/passwd', path)
    },
  ]
  for (const change of changes) {
    await makeSettledFile(path).catch(() => undefined)
    await change()
    expect(readCachedEntry(bytes(path), PREFIX, ROOT)).toBeUndefined()
    for (const name of [path, `${path}.old`]) await rm(name, { force: true })
  }
})

test('attributes are never left out', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'file')
  await writeFile(path, '')
  for (let i = 0; i < 300; i++) {
    await readEntry(bytes(path), PREFIX, ROOT)
    await setAttributes(path, ['a', String(i)])
    const packed = readCachedEntry(bytes(path), PREFIX, ROOT) ?? (await readEntry(bytes(path), PREFIX, ROOT))
    expect([...unpackEntries(packed)][0]?.attributes).toEqual([[Buffer.from('a'), Buffer.from(String(i))]])
    await setAttributes(path, [])
  }
})

test('a missing file, links, the kernel’s own files and users with their own rights', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'file')
  await makeSettledFile(path)
  await symlink(dir.path, join(dir.path, 'link'))
  await expect(readEntry(bytes(join(dir.path, 'no')), PREFIX, ROOT)).rejects.toMatchObject({ code: 'ENOENT' })
  // Some filesystems do not keep that a name is missing.
  let missing: unknown
  try {
    missing = readCachedEntry(bytes(join(dir.path, 'no')), PREFIX, ROOT)
  } catch (error) {
    expect(error).toMatchObject({ code: 'ENOENT' })
  }
  expect(missing).toBeUndefined()
  expect(readCachedEntry(bytes(join(dir.path, 'link', 'file')), PREFIX, ROOT)).toBeUndefined()
  for (const own of [
    '/proc/self/environ',
    `/proc/${process.pid}/environ`,
    '/sys/kernel',
    `${dir.path}/.`,
    `${dir.path}/`,
  ]) {
    await readEntry(bytes(own), PREFIX, ROOT).catch(() => undefined)
    expect(readCachedEntry(bytes(own), PREFIX, ROOT)).toBeUndefined()
  }
  expect(readCachedEntry(bytes(path), PREFIX, { uid: 0, gid: 0, groups: [] })).toBeUndefined()
  expect(readCachedEntry(bytes(path), PREFIX, { uid: 0, gid: 0, beneath: bytes(dir.path) })).toBeUndefined()
})

test('a version changes with the file and with what takes its place', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'file')
  await writeFile(path, 'one')
  const first = await readVersion(bytes(path))
  expect(hasVersion(bytes(path), first)).toBe(true)
  await writeFile(path, 'three')
  expect(hasVersion(bytes(path), first)).toBe(false)
  const second = await readVersion(bytes(path))
  expect(hasVersion(bytes(path), second)).toBe(true)
  await writeFile(`${path}.new`, 'three')
  await rename(`${path}.new`, path)
  expect(hasVersion(bytes(path), second)).toBe(false)
  expect(hasVersion(bytes(path), new Uint8Array())).toBe(false)
  expect(hasVersion(bytes(join(dir.path, 'no')), second)).toBe(false)
  await expect(readVersion(bytes(join(dir.path, 'no')))).rejects.toMatchObject({ code: 'ENOENT' })
})
