import { truncate, writeFile } from 'node:fs/promises'
import { connect } from 'node:http2'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../../src/budget/budget.ts'
import { createCompressors } from '../../../src/http/transfer/compressors.ts'
import { send } from '../../_util/http.ts'
import { startFilesFront } from '../files-front.ts'

const KIB = 1024

test('downloads without a reader are refused when the budget is spent, and release what they held', async () => {
  const budget = createByteBudget(1024 * KIB)
  await using files = await startFilesFront({ budget })
  const path = join(files.dir, 'big')
  await writeFile(path, '')
  await truncate(path, 64 * KIB * KIB)
  const session = connect(files.front.url, { settings: { initialWindowSize: 0 } })
  const statuses: number[] = []
  for (let i = 0; i < 40; i++) {
    const stream = session.request({ ':path': `/files?path=${encodeURIComponent(path)}` })
    stream.on('error', () => {})
    stream.on('response', (headers) => {
      statuses.push(headers[':status'] ?? 0)
      if (headers[':status'] === 503) expect(headers['retry-after']).toBe('1')
    })
  }
  await expect.poll(() => statuses.length).toBe(40)
  expect(new Set(statuses)).toEqual(new Set([200, 503]))
  // The first read of each is a small one: nothing else is read before the window opens.
  expect(budget.usage().download / statuses.filter((status) => status === 200).length).toBeLessThan(64 * KIB)
  session.destroy()
  await expect.poll(() => budget.usage().download).toBe(0)
  const { status, body } = await files.get({ path }, { range: 'bytes=0-9' })
  expect([status, body.length]).toEqual([206, 10])
})

test('a download whose client stops reading in the middle holds two buffers', async () => {
  const budget = createByteBudget(64 * KIB * KIB)
  await using files = await startFilesFront({ budget })
  const path = join(files.dir, 'big')
  await writeFile(path, '')
  await truncate(path, 64 * KIB * KIB)
  const response = await send(`${files.front.url}/files?path=${encodeURIComponent(path)}`)
  await expect.poll(() => budget.usage().download).toBeGreaterThan(512 * KIB)
  expect(budget.usage().download).toBeLessThan(640 * KIB)
  response.close()
  await expect.poll(() => budget.usage().download).toBe(0)
})

test('B21 what finds no compressor free is sent as it is, or refused where only gzip is taken', async () => {
  const compressors = createCompressors(1)
  await using files = await startFilesFront({ compressors })
  const path = join(files.dir, 'text')
  await writeFile(path, 'text')
  const gzip = { 'accept-encoding': 'gzip' }
  expect(gunzipSync((await files.get({ path }, gzip)).body).toString()).toBe('text')
  const busy = compressors.take('zstd')
  const plain = await files.get({ path }, gzip)
  expect([plain.text, plain.headers['content-encoding']]).toEqual(['text', undefined])
  const refused = await files.get({ path }, { 'accept-encoding': 'gzip, identity;q=0' })
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1'])
  busy?.destroy()
  await expect.poll(async () => (await files.get({ path }, gzip)).headers['content-encoding']).toBe('gzip')
})

test('B37 the files of a form, and the answer that names them, count in the budget', async () => {
  const budget = createByteBudget(2 * KIB * KIB)
  await using files = await startFilesFront({ budget })
  const long = Array.from({ length: 4 }, () => 'd'.repeat(250)).join('/')
  const form = (count: number) => {
    const part = (name: string) => `--b\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\nx\r\n`
    const names = Array.from({ length: count }, (_, index) => join(files.dir, long, String(index)))
    return `${names.map(part).join('')}--b--\r\n`
  }
  const headers = { 'content-type': 'multipart/form-data; boundary=b' }
  const few = await files.post({}, form(200), headers)
  expect([few.status, JSON.parse(few.body.toString()).length]).toEqual([200, 200])
  expect((await files.post({}, form(500), headers)).status).toBe(503)
  const metadata = { 'x-metadata-text': 'x'.repeat(3000) }
  expect((await files.post({}, form(80), { ...headers, ...metadata })).status).toBe(200)
  expect((await files.post({}, form(200), { ...headers, ...metadata })).status).toBe(503)
  await expect.poll(() => budget.usage()).toMatchObject({ upload: 0, frame: 0 })
})
