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
