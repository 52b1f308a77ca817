import { createHash } from 'node:crypto'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { type FilesFront, startFilesFront } from '../files-front.ts'
import { connectRaw } from '../front.ts'
import { call, create, leftovers, offsetOf, PIECE, patch, sha1 } from '../tus-calls.ts'

test('an upload comes in pieces, and is at its name only when it is whole', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'new', 'f')
  const url = await create(files, { path }, 11, { 'upload-metadata': 'filename Zg==,empty', 'x-metadata-key': 'value' })
  expect(await patch(files, url, [0, 'hello '])).toMatchObject({ status: 204, headers: { 'upload-offset': '6' } })
  await expect(stat(path)).rejects.toThrow('ENOENT')
  expect(await call(files, 'HEAD', url)).toMatchObject({
    status: 200,
    headers: {
      'tus-resumable': '1.0.0',
      'upload-offset': '6',
      'upload-length': '11',
      'upload-metadata': 'filename Zg==,empty',
      'cache-control': 'no-store',
      'upload-expires': expect.stringMatching(/GMT$/),
    },
  })
  const last = await patch(files, url, [6, 'world'])
  expect(last).toMatchObject({ status: 204, headers: { 'upload-offset': '11' } })
  expect(await readFile(path, 'utf8')).toBe('hello world')
  expect(await stat(path)).toMatchObject({ uid: files.people.ann.uid, mode: 0o100644 })
  const got = await files.get({ path })
  expect(got.headers).toMatchObject({ etag: last.headers['etag'] })
  // A client that has missed the last answer asks again.
  expect(await call(files, 'HEAD', url)).toMatchObject({
    headers: { 'upload-offset': '11', etag: last.headers['etag'] },
  })
  expect(await readdir(join(files.dir, 'new'))).toEqual(['f'])
})

test('a piece may come with the request that makes the upload, and an empty file needs none', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const target = `/uploads?${new URLSearchParams({ path })}`
  const headers = { ...PIECE, 'upload-length': '3' }
  const whole = await call(files, 'POST', target, { headers, body: 'abc' })
  expect(whole).toMatchObject({ status: 201, headers: { 'upload-offset': '3', location: expect.any(String) } })
  expect(await readFile(path, 'utf8')).toBe('abc')
  await create(files, { path }, 0)
  expect(await readFile(path, 'utf8')).toBe('')
})

test('the name may come in Upload-Metadata, relative to the home', async () => {
  await using files = await startFilesFront()
  const name = Buffer.from('sub/fä').toString('base64')
  const url = await create(files, {}, 1, { 'upload-metadata': `filename ${name}` })
  await patch(files, url, [0, 'x'])
  expect(await readFile(join(files.people.ann.home, 'sub/fä'), 'utf8')).toBe('x')
})

test('a piece with its checksum is taken as a whole', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const url = await create(files, { path }, 6)
  expect((await patch(files, url, [0, 'abc'], { 'upload-checksum': sha1('abc') })).status).toBe(204)
  const digest = createHash('sha256').update('def').digest('base64')
  expect((await patch(files, url, [3, 'def'], { 'upload-checksum': `sha256 ${digest}` })).status).toBe(204)
  expect(await readFile(path, 'utf8')).toBe('abcdef')
})

async function waitForSize(files: FilesFront, bytes: number): Promise<void> {
  const sizeOf = async () => {
    const name = (await readdir(files.dir)).find((found) => found.startsWith('.envd-'))
    return name === undefined ? undefined : (await stat(join(files.dir, name))).size
  }
  await expect.poll(sizeOf).toBe(bytes)
}

function beginPatch(url: string, length: number, offset: number, more = ''): string {
  const lines = [
    'Host: x',
    'Tus-Resumable: 1.0.0',
    `Content-Type: ${PIECE['content-type']}`,
    `Content-Length: ${length}`,
  ]
  return `PATCH ${url} HTTP/1.1\r\n${lines.join('\r\n')}\r\nUpload-Offset: ${offset}\r\n${more}\r\n`
}

test('of a piece that is cut off what came stays, unless it has a checksum', async () => {
  await using files = await startFilesFront()
  const url = await create(files, { path: join(files.dir, 'f') }, 100)
  for (const [more, bytes] of [
    ['', '10'],
    [`Upload-Checksum: ${sha1('x')}\r\n`, '10'],
  ]) {
    const at = Number(await offsetOf(files, url))
    using raw = await connectRaw(files.front.port)
    raw.write(`${beginPatch(url, 90, at, more)}0123456789`)
    await waitForSize(files, at + 10)
    raw.socket.destroy()
    await expect.poll(() => offsetOf(files, url)).toBe(bytes)
  }
})

test('of two pieces at once one is taken, and 423 is the answer to the other one', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const url = await create(files, { path }, 10)
  using raw = await connectRaw(files.front.port)
  raw.write(`${beginPatch(url, 10, 0)}01234`)
  await waitForSize(files, 5)
  expect((await patch(files, url, [0, 'x'])).status).toBe(423)
  raw.write('56789')
  await expect.poll(() => raw.received()).toContain('204')
  expect(await readFile(path, 'utf8')).toBe('0123456789')
})

test('an upload is removed while a piece of it comes, and nothing is left', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const url = await create(files, { path }, 100)
  using raw = await connectRaw(files.front.port)
  raw.write(`${beginPatch(url, 100, 0)}01234`)
  await waitForSize(files, 5)
  raw.write('56789')
  expect((await call(files, 'DELETE', url)).status).toBe(204)
  await expect.poll(() => raw.received()).toContain('409')
  expect(raw.received()).toContain('another request has taken over this upload')
  expect(files.front.logged.map(({ message }) => message)).not.toContain('a request failed unexpectedly')
  expect(await leftovers(files)).toEqual([])
  expect(await offsetOf(files, url)).toBe('status 404')
  await expect(stat(path)).rejects.toThrow('ENOENT')
})

test('an upload is removed as it is put in its place: the file is whole, or there is none', async () => {
  await using files = await startFilesFront()
  for (let round = 0; round < 20; round++) {
    const path = join(files.dir, `f${round}`)
    const url = await create(files, { path }, 10)
    const [piece, removed] = await Promise.all([patch(files, url, [0, '0123456789']), call(files, 'DELETE', url)])
    expect(removed.status).toBe(204)
    const text = await readFile(path, 'utf8').catch(() => undefined)
    expect(text).toBe(piece.status === 204 ? '0123456789' : undefined)
    expect(await leftovers(files)).toEqual([])
  }
})

test('nothing is left of an upload whose client leaves before it knows the URL', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  using raw = await connectRaw(files.front.port)
  const lines = ['Host: x', 'Tus-Resumable: 1.0.0', `Content-Type: ${PIECE['content-type']}`, 'Content-Length: 10']
  const target = `/uploads?${new URLSearchParams({ path })}`
  raw.write(`POST ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\nUpload-Length: 10\r\n\r\n01234`)
  await waitForSize(files, 5)
  raw.socket.destroy()
  await expect.poll(() => leftovers(files)).toEqual([])
})

test('a connection that is silent gives way to the same client on another one', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const url = await create(files, { path }, 10)
  using raw = await connectRaw(files.front.port)
  raw.write(`${beginPatch(url, 10, 0)}01234`)
  await expect.poll(() => offsetOf(files, url)).toBe('5')
  expect((await patch(files, url, [5, '56789'])).status).toBe(204)
  expect(await readFile(path, 'utf8')).toBe('0123456789')
})

test('many requests for the same piece at once: one is taken', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const url = await create(files, { path }, 200_000)
  const half = Buffer.alloc(100_000, 'a')
  const answers = await Promise.all(Array.from({ length: 20 }, () => patch(files, url, [0, half])))
  const statuses = answers.map(({ status }) => status)
  expect(statuses.filter((status) => status === 204)).toHaveLength(1)
  expect(statuses.every((status) => [204, 409, 423].includes(status))).toBe(true)
  expect(await offsetOf(files, url)).toBe('100000')
})

test('a piece that does not follow what has come is 409, also if it is longer than what is to come', async () => {
  await using files = await startFilesFront()
  const url = await create(files, { path: join(files.dir, 'f') }, 10)
  expect((await patch(files, url, [3, '0123456789'])).status).toBe(409)
  expect((await patch(files, url, [0, '0123456789a'])).status).toBe(413)
  expect((await patch(files, url, [0, '0123456789'])).status).toBe(204)
})

test('a condition is checked again when all has come: 412, and nothing is left', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  await writeFile(path, 'old')
  const { etag = '' } = (await files.get({ path })).headers
  const url = await create(files, { path }, 3, { 'if-match': etag })
  await writeFile(path, 'other')
  expect((await patch(files, url, [0, 'new'])).status).toBe(412)
  expect(await readFile(path, 'utf8')).toBe('other')
  expect(await leftovers(files)).toEqual([])
  expect(await offsetOf(files, url)).toBe('status 404')
})

test('mode=create, overwrite and chmod are as for other uploads', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const url = await create(files, { path, mode: 'create', chmod: '0600' }, 3)
  await patch(files, url, [0, 'new'])
  expect((await stat(path)).mode & 0o777).toBe(0o600)
  const again = { headers: { 'upload-length': '3' } }
  expect((await call(files, 'POST', `/uploads?${new URLSearchParams({ path, mode: 'create' })}`, again)).status).toBe(
    409,
  )
  const { ino } = await stat(path)
  await patch(files, await create(files, { path, mode: 'overwrite' }, 5), [0, 'other'])
  expect(await readFile(path, 'utf8')).toBe('other')
  expect((await stat(path)).ino).toBe(ino)
  await patch(files, await create(files, { path }, 4), [0, 'last'])
  expect(await stat(path)).toMatchObject({ mode: 0o100600, size: 4 })
  expect((await stat(path)).ino).not.toBe(ino)
  expect((await readdir(files.dir)).filter((name) => name.startsWith('.envd'))).toEqual([])
})

test('partial uploads are joined, in the order that is named, and are gone then', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const part = (length: number) => create(files, { path }, length, { 'upload-concat': 'partial' })
  const [a, b] = [await part(3), await part(4)]
  const join2 = () =>
    call(files, 'POST', `/uploads?${new URLSearchParams({ path })}`, {
      headers: { 'upload-concat': `final;${b} http://host${a}` },
    })
  expect((await join2()).status).toBe(400)
  await patch(files, a, [0, 'abc'])
  await patch(files, b, [0, '1234'])
  await expect(stat(path)).rejects.toThrow('ENOENT')
  expect((await call(files, 'HEAD', a)).headers).toMatchObject({ 'upload-concat': 'partial', 'upload-offset': '3' })
  const joined = await join2()
  expect(joined).toMatchObject({ status: 201, headers: { 'upload-offset': '7' } })
  expect(await readFile(path, 'utf8')).toBe('1234abc')
  expect(await offsetOf(files, a)).toBe('status 404')
  expect(await call(files, 'HEAD', String(joined.headers['location']))).toMatchObject({
    headers: { 'upload-offset': '7', 'upload-length': '7' },
  })
  expect((await readdir(files.dir)).filter((name) => name.startsWith('.envd'))).toEqual([])
})

test('pages of other origins may read the headers of the protocol, and ask for its methods', async () => {
  await using files = await startFilesFront()
  const origin = { origin: 'https://app.example' }
  const asks = {
    'access-control-request-method': 'PATCH',
    'access-control-request-headers': 'tus-resumable,upload-offset',
  }
  const preflight = await sendWhole(`${files.front.url}/uploads/x`, {
    method: 'OPTIONS',
    headers: { ...origin, ...asks },
  })
  expect(preflight.headers).toMatchObject({
    'access-control-allow-methods': 'PATCH',
    'access-control-allow-headers': 'tus-resumable,upload-offset',
  })
  const target = `/uploads?${new URLSearchParams({ path: join(files.dir, 'f') })}`
  const made = await call(files, 'POST', target, { headers: { ...origin, 'upload-length': '1' } })
  expect(made.headers['access-control-expose-headers']).toMatch(/Location.*Upload-Offset.*Upload-Expires/)
  const discovered = await sendWhole(`${files.front.url}/uploads`, { method: 'OPTIONS' })
  expect(discovered).toMatchObject({
    status: 204,
    headers: { 'tus-version': '1.0.0', 'tus-max-size': String(1024 ** 3 / 2) },
  })
})

test('a method may be named in a header', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const url = await create(files, { path }, 3)
  const headers = { ...PIECE, 'upload-offset': '0', 'x-http-method-override': 'PATCH' }
  expect((await call(files, 'POST', url, { headers, body: 'abc' })).status).toBe(204)
  expect(await readFile(path, 'utf8')).toBe('abc')
  expect((await call(files, 'POST', url)).status).toBe(400)
})

test('over HTTP/2', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const url = await create(files, { path }, 3)
  const headers = { ...PIECE, 'upload-offset': '0' }
  const answer = await sendWhole(`${files.front.url}${url}`, { method: 'PATCH', headers, body: 'abc', http2: true })
  expect(answer.status).toBe(204)
  expect(await readFile(path, 'utf8')).toBe('abc')
})
