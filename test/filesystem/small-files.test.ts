import { closeSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { unpackStored, VERSION_BYTES } from '../../src/native/entries.ts'
import { readFile, storeFile } from '../../src/native/files.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const self = { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 }
const read = (path: string, limit: number) => readFile(Buffer.from(path), self, limit)
const store = (path: string, content: string) =>
  storeFile(Buffer.from(path), self, Buffer.from(content), 'user.e2b.', [])

test('a file of at most the limit is read whole; what else is there is left to others', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'file')
  await writeFile(path, '12345')
  expect((await read(path, 5)).subarray(VERSION_BYTES).toString()).toBe('12345')
  for (const [other, limit] of [
    [path, 4],
    [dir.path, 5],
    ['/proc/version', 65536],
    ['/dev/null', 5],
  ] as const)
    expect(await read(other, limit)).toHaveLength(0)
  await writeFile(path, '')
  expect(await read(path, 5)).toHaveLength(0)
  await expect(read(join(dir.path, 'missing'), 5)).rejects.toMatchObject({ code: 'ENOENT' })
})

test('a file is stored and closed in one go, over a longer one as well', async () => {
  await using dir = await makeTmpDir()
  const path = join(dir.path, 'file')
  for (const content of ['some content', 'short', '']) {
    const { opened, written, finished } = unpackStored(await store(path, content))
    expect([opened.made, written, finished?.version.size]).toEqual([
      content === 'some content',
      content.length,
      BigInt(content.length),
    ])
    expect(readFileSync(path, 'utf8')).toBe(content)
  }
})

test('what cannot be written is returned open', async () => {
  const { opened, written, finished } = unpackStored(await store('/dev/full', 'x'))
  expect([opened.fd !== undefined, written, finished]).toEqual([true, 0, undefined])
  if (opened.fd !== undefined) closeSync(opened.fd)
})
