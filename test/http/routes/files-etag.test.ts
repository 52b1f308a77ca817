import { appendFile, chmod, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type FilesFront, startFilesFront } from '../files-front.ts'

async function written(files: FilesFront, content = 'one'): Promise<string> {
  const path = join(files.dir, 'f.txt')
  await writeFile(path, content)
  return path
}

async function tagOf(files: FilesFront, path: string): Promise<string> {
  const { status, headers } = await files.get({ path })
  const { etag } = headers
  expect(status).toBe(200)
  return String(etag)
}

test('B20 a download has a strong entity tag that changes with every write, also at once, of the same size and with the old times', async () => {
  await using files = await startFilesFront()
  const path = await written(files)
  const tags = [await tagOf(files, path)]
  expect(tags[0]).toMatch(/^"[a-z0-9-]+"$/)
  expect(await tagOf(files, path)).toBe(tags[0])
  for (let count = 0; count < 50; count++) {
    await writeFile(path, 'two')
    await utimes(path, 1, 1)
    tags.push(await tagOf(files, path))
    await writeFile(path, 'one')
    tags.push(await tagOf(files, path))
  }
  await chmod(path, 0o600)
  tags.push(await tagOf(files, path))
  expect(new Set(tags).size).toBe(tags.length)
})

test('B20 conditions by entity tag', async () => {
  await using files = await startFilesFront()
  const path = await written(files)
  const tag = await tagOf(files, path)
  const cases: [Record<string, string>, number][] = [
    [{ 'if-none-match': tag }, 304],
    [{ 'if-none-match': `W/${tag}` }, 304],
    [{ 'if-none-match': `"other", ${tag}` }, 304],
    [{ 'if-none-match': '"other"' }, 200],
    [{ 'if-none-match': tag, 'accept-encoding': 'gzip' }, 304],
    [{ 'if-match': tag }, 200],
    [{ 'if-match': `"other", ${tag}` }, 200],
    [{ 'if-match': `W/${tag}` }, 412],
    [{ 'if-match': '"other"' }, 412],
    [{ 'if-match': '"other"', 'accept-encoding': 'gzip' }, 412],
    [{ 'if-match': '"other"', 'accept-encoding': 'gzip, identity;q=0' }, 412],
    [{ 'if-match': tag, 'if-none-match': tag }, 304],
    [{ 'if-match': tag, 'if-unmodified-since': 'Thu, 01 Jan 1970 00:00:01 GMT' }, 200],
    [{ range: 'bytes=1-', 'if-range': tag }, 206],
    [{ range: 'bytes=1-', 'if-range': `W/${tag}` }, 200],
    [{ range: 'bytes=1-', 'if-range': '"other"' }, 200],
  ]
  for (const [headers, status] of cases) {
    expect.soft((await files.get({ path }, headers)).status, JSON.stringify(headers)).toBe(status)
  }
  const unchanged = await files.get({ path }, { 'if-none-match': tag })
  expect(unchanged.headers).toMatchObject({ etag: tag, vary: expect.stringContaining('Accept-Encoding') })
  expect(unchanged.body).toHaveLength(0)
})

test('B23 a compressed answer has a tag of its own, which conditions take for that of the file, and If-Range does not', async () => {
  await using files = await startFilesFront()
  const path = await written(files, 'text '.repeat(1000))
  // Weak at first on a busy machine, which takes longer than the tick of the clock that the daemon waits for.
  const isStrong = (text: string) => !text.startsWith('W/')
  await expect.poll(async () => isStrong(await tagOf(files, path))).toBe(true)
  const tag = await tagOf(files, path)
  for (const encoding of ['gzip', 'zstd']) {
    const { headers } = await files.get({ path }, { 'accept-encoding': encoding })
    expect(headers).toMatchObject({ 'content-encoding': encoding, etag: tag.replace(/"$/, `-${encoding}"`) })
    const { etag } = headers
    const own = String(etag)
    expect((await files.get({ path }, { 'if-none-match': own })).status).toBe(304)
    expect((await files.get({ path }, { 'if-match': own })).status).toBe(200)
    expect((await files.get({ path }, { range: 'bytes=0-3', 'if-range': own })).status).toBe(200)
  }
})

test('B26 files of the kernel, whose times say nothing, have no tag, and empty files have one', async () => {
  await using files = await startFilesFront()
  expect((await files.get({ path: '/proc/uptime' })).headers).not.toHaveProperty('etag')
  const path = await written(files, '')
  const empty = await tagOf(files, path)
  await appendFile(path, 'x')
  expect(await tagOf(files, path)).not.toBe(empty)
})
