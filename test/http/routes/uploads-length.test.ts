import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startFilesFront } from '../files-front.ts'
import { call, leftovers, offsetOf, PIECE, patch } from '../tus-calls.ts'

test('a length that is said later is kept to: what does not go with it is refused', async () => {
  await using files = await startFilesFront({ uploadBytes: 4000 })
  const target = `/uploads?${new URLSearchParams({ path: join(files.dir, 'f') })}`
  const post = (headers: Record<string, string>) => call(files, 'POST', target, { headers })
  expect((await post({ 'upload-defer-length': '2' })).status).toBe(400)
  expect((await post({ 'upload-defer-length': '1', 'upload-length': '5' })).status).toBe(400)
  expect(await leftovers(files)).toEqual([])
  const { status, headers } = await post({ 'upload-defer-length': '1' })
  expect(status).toBe(201)
  const url = String(headers['location'])
  expect((await patch(files, url, [0, 'abc'])).status).toBe(204)
  // Half of all is the user's.
  expect((await patch(files, url, [3, 'x'.repeat(2000)])).status).toBe(413)
  const chunked = { 'transfer-encoding': 'chunked' }
  expect((await patch(files, url, [3, 'x'], chunked)).status).toBe(400)
  expect((await patch(files, url, [3, ''], { 'upload-length': '2' })).status).toBe(400)
  expect((await patch(files, url, [3, 'def'], { 'upload-length': '5' })).status).toBe(413)
  expect((await patch(files, url, [3, 'd'], { 'upload-length': '5' })).status).toBe(204)
  expect((await patch(files, url, [4, 'e'], { 'upload-length': '6' })).status).toBe(400)
  expect(await offsetOf(files, url)).toBe('4')
  expect((await patch(files, url, [4, 'e'], { 'upload-length': '5' })).status).toBe(204)
  expect(await readFile(join(files.dir, 'f'), 'utf8')).toBe('abcde')
})

test('the length may be said with a later piece, also of an empty one, and of the one that makes the upload', async () => {
  await using files = await startFilesFront()
  const target = `/uploads?${new URLSearchParams({ path: join(files.dir, 'f') })}`
  for (const first of ['', 'abc']) {
    const headers = { 'upload-defer-length': '1', ...(first === '' ? {} : PIECE) }
    const made = await call(files, 'POST', target, { headers, ...(first === '' ? {} : { body: first }) })
    expect(made.status).toBe(201)
    const url = String(made.headers['location'])
    if (first === '') expect((await patch(files, url, [0, 'abc'])).status).toBe(204)
    const { headers: known } = await call(files, 'HEAD', url)
    expect(known).toMatchObject({ 'upload-offset': '3', 'upload-defer-length': '1' })
    expect(known).not.toHaveProperty('upload-length')
    expect((await patch(files, url, [3, 'def'])).status).toBe(204)
    const last = await patch(files, url, [6, ''], { 'upload-length': '6' })
    expect(last).toMatchObject({ status: 204, headers: { 'upload-offset': '6', etag: expect.any(String) } })
    expect(await readFile(join(files.dir, 'f'), 'utf8')).toBe('abcdef')
    expect((await call(files, 'HEAD', url)).headers).toMatchObject({ 'upload-length': '6' })
  }
})
