import { once } from 'node:events'
import { readdir, readlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { send } from '../../_util/http.ts'
import { startFilesFront } from '../files-front.ts'
import { connectRaw } from '../front.ts'

const TIME = new Date('2024-02-03T04:05:06Z')
const TIME_TEXT = 'Sat, 03 Feb 2024 04:05:06 GMT'

async function withFile(content: string | Uint8Array = '0123456789', name = 'f') {
  const files = await startFilesFront()
  const path = join(files.dir, name)
  await writeFile(path, content)
  await utimes(path, TIME, TIME)
  return { ...files, path, fetch: (headers = {}) => files.get({ path }, headers) }
}

test('B19 one range is a part of the file', async () => {
  await using files = await withFile()
  const answer = await files.fetch({ range: 'bytes=2-4' })
  expect(answer).toMatchObject({ status: 206, text: '234' })
  expect(answer.headers).toMatchObject({ 'content-range': 'bytes 2-4/10', 'content-length': '3' })
})

test('B19 several ranges are a multipart body of the announced length', async () => {
  await using files = await withFile(Buffer.alloc(300_000, 'abc'), 'f.txt')
  const answer = await files.fetch({ range: 'bytes=0-2,100000-199999' })
  const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(answer.headers['content-type'] ?? '')?.[1]
  const head = (range: string) =>
    `--${boundary}\r\nContent-Range: bytes ${range}/300000\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n`
  const middle = Buffer.alloc(300_000, 'abc').toString().slice(100_000, 200_000)
  expect(answer.status).toBe(206)
  expect(answer.text).toBe(`${head('0-2')}abc\r\n${head('100000-199999')}${middle}\r\n--${boundary}--\r\n`)
  expect(answer.headers['content-length']).toBe(String(answer.body.length))
})

test('B19 a range beyond the end, or none at all, is not satisfiable', async () => {
  await using files = await withFile()
  const beyond = await files.fetch({ range: 'bytes=10-' })
  expect(beyond).toMatchObject({ status: 416, text: 'invalid range: failed to overlap\n' })
  expect(beyond.headers).toMatchObject({ 'content-range': 'bytes */10', 'content-type': 'text/plain; charset=utf-8' })
  expect(beyond.headers['last-modified']).toBeUndefined()
  const malformed = await files.fetch({ range: 'lines=1-2' })
  expect(malformed).toMatchObject({ status: 416, text: 'invalid range\n' })
  expect(malformed.headers['content-range']).toBeUndefined()
  await truncate(files.path)
  expect((await files.fetch({ range: 'bytes=5-' })).status).toBe(200)
})

test('B20 conditions are judged by the time of the last change', async () => {
  await using files = await withFile()
  const before = 'Sat, 03 Feb 2024 04:05:05 GMT'
  const cases: [Record<string, string>, number][] = [
    [{ 'if-modified-since': TIME_TEXT }, 304],
    [{ 'if-modified-since': before }, 200],
    [{ 'if-modified-since': 'nonsense' }, 200],
    [{ 'if-none-match': '*' }, 304],
    [{ 'if-none-match': '"tag"' }, 200],
    [{ 'if-none-match': '"tag"', 'if-modified-since': TIME_TEXT }, 200],
    [{ 'if-match': '"tag"' }, 412],
    [{ 'if-match': '*' }, 200],
    [{ 'if-unmodified-since': TIME_TEXT }, 200],
    [{ 'if-unmodified-since': before }, 412],
    [{ range: 'bytes=0-0', 'if-range': TIME_TEXT }, 206],
    [{ range: 'bytes=0-0', 'if-range': before }, 200],
    [{ range: 'bytes=0-0', 'if-range': '"tag"' }, 200],
  ]
  for (const [headers, status] of cases) {
    const answer = await files.fetch(headers)
    expect({ headers, status: answer.status }).toEqual({ headers, status })
    if (status > 300) expect(answer.text).toBe('')
  }
})

test.each([
  ['gzip, deflate', 'gzip', gunzipSync],
  ['zstd,gzip,br', 'zstd', zstdDecompressSync],
] as const)('B21 B23 B24 a client that takes %s gets %s, typed by the name alone', async (header, encoding, decode) => {
  await using files = await withFile('<html>'.repeat(50_000), 'page')
  const answer = await files.fetch({ 'accept-encoding': header })
  expect(answer.headers).toMatchObject({
    'content-encoding': encoding,
    'content-type': 'application/octet-stream',
    vary: 'Accept-Encoding',
  })
  for (const name of ['last-modified', 'accept-ranges', 'content-length']) expect(answer.headers[name]).toBeUndefined()
  expect(decode(answer.body).toString()).toBe('<html>'.repeat(50_000))
})

test('B22 a range or condition is answered with the bytes as they are, or not at all', async () => {
  await using files = await withFile()
  const some = await files.fetch({ 'accept-encoding': 'gzip', range: 'bytes=0-1' })
  expect(some).toMatchObject({ status: 206, text: '01' })
  const none = await files.fetch({ 'accept-encoding': 'gzip, identity;q=0', 'if-none-match': '"x"' })
  expect(none.status).toBe(406)
  expect(none.text).toContain('identity encoding not acceptable for Range or conditional request')
})

test('B28 a file that shrinks while it is read breaks the connection instead of the length', async () => {
  await using files = await withFile('')
  await truncate(files.path, 256 * 1024 * 1024)
  const answer = await send(`${files.front.url}/files?path=${files.path}`)
  await once(answer.body, 'readable')
  await truncate(files.path, 1024)
  await expect(answer.body.toArray()).rejects.toThrow()
  expect(files.logged.some((line) => line.message === 'a download broke off')).toBe(true)
})

test('a client that stops reading holds up nothing and costs no memory', async () => {
  await using files = await withFile('')
  await truncate(files.path, 1024 * 1024 * 1024)
  const before = process.memoryUsage.rss()
  const stalled = await Promise.all(Array.from({ length: 20 }, () => connectRaw(files.front.port)))
  for (const client of stalled) {
    client.socket.pause()
    client.write(`GET /files?path=${files.path} HTTP/1.1\r\nhost: x\r\n\r\n`)
  }
  await expect.poll(() => openFilesOf(files.path)).toBe(20)
  expect((await files.fetch({ range: 'bytes=0-9' })).status).toBe(206)
  expect(process.memoryUsage.rss() - before).toBeLessThan(64 * 1024 * 1024)
  for (const client of stalled) client[Symbol.dispose]()
  await expect.poll(() => openFilesOf(files.path)).toBe(0)
})

test.each(['identity', 'gzip', 'zstd'])(
  'a client that goes away in a %s download leaves no file open',
  async (encoding) => {
    await using files = await withFile('')
    await truncate(files.path, 1024 * 1024 * 1024)
    const answer = await send(`${files.front.url}/files?path=${files.path}`, {
      headers: { 'accept-encoding': encoding },
    })
    await once(answer.body, 'readable')
    expect(await openFilesOf(files.path)).toBe(1)
    answer.close()
    await expect.poll(() => openFilesOf(files.path)).toBe(0)
  },
)

test('bytes arrive as they are, over both versions of HTTP', async () => {
  const bytes = Buffer.from(Array.from({ length: 700_001 }, (_, i) => (i * 7919) % 256))
  await using files = await withFile(bytes)
  for (const http2 of [false, true]) {
    const answer = await send(`${files.front.url}/files?path=${files.path}`, { http2 })
    expect(answer.status).toBe(200)
    expect(Buffer.concat(await answer.body.toArray()).equals(bytes)).toBe(true)
    answer.close()
  }
})

async function openFilesOf(path: string): Promise<number> {
  const descriptors = await readdir('/proc/self/fd')
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return targets.filter((target) => target === path).length
}
