import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chown, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { needsNamespace, needsRoot } from '../../_util/namespace.ts'
import { startFilesFront } from '../files-front.ts'
import { call, create, leftovers, offsetOf, PIECE, patch, sha1 } from '../tus-calls.ts'

test.each([
  ['PATCH of another offset', 409, { headers: { ...PIECE, 'upload-offset': '4' }, body: 'x' }],
  ['PATCH without an offset', 400, { headers: PIECE, body: 'x' }],
  ['PATCH of another type', 415, { headers: { 'upload-offset': '3', 'content-type': 'text/plain' }, body: 'x' }],
  ['PATCH of too much', 413, { headers: { ...PIECE, 'upload-offset': '3' }, body: '12345678' }],
  [
    'PATCH that is compressed',
    400,
    { headers: { ...PIECE, 'upload-offset': '3', 'content-encoding': 'gzip' }, body: 'x' },
  ],
  [
    'PATCH with a wrong checksum',
    460,
    { headers: { ...PIECE, 'upload-offset': '3', 'upload-checksum': sha1('y') }, body: 'x' },
  ],
  [
    'PATCH with an unknown checksum',
    400,
    { headers: { ...PIECE, 'upload-offset': '3', 'upload-checksum': 'crc32 AAAA' }, body: 'x' },
  ],
  [
    'PATCH with its checksum in a trailer',
    400,
    {
      headers: { ...PIECE, 'upload-offset': '3', 'transfer-encoding': 'chunked', trailer: 'Upload-Checksum' },
      body: 'x',
    },
  ],
  [
    'PATCH of another version',
    412,
    { headers: { ...PIECE, 'tus-resumable': '0.2.2', 'upload-offset': '3' }, body: 'x' },
  ],
] as const)('%s is refused with %i, and changes nothing', async (_what, status, sent) => {
  await using files = await startFilesFront()
  const url = await create(files, { path: join(files.dir, 'f') }, 10)
  await patch(files, url, [0, 'abc'])
  const answer = await call(files, 'PATCH', url, sent)
  expect(answer.status).toBe(status)
  expect(JSON.parse(answer.text)).toMatchObject({ code: status, message: expect.any(String) })
  expect(await offsetOf(files, url)).toBe('3')
  expect((await call(files, 'DELETE', url)).status).toBe(204)
  expect(await leftovers(files)).toEqual([])
})

test.each([
  ['no length', 400, {}, {}],
  ['a length that is none', 400, {}, { 'upload-length': '-1' }],
  ['more than is ever taken', 413, {}, { 'upload-length': String(1024 ** 4) }],
  ['metadata that is none', 400, {}, { 'upload-length': '1', 'upload-metadata': 'filename ???' }],
  ['append', 400, { mode: 'append' }, { 'upload-length': '1' }],
  ['a directory', 400, { path: '/tmp' }, { 'upload-length': '1' }],
  ['a condition that does not hold', 412, {}, { 'upload-length': '1', 'if-match': '"x"' }],
  ['set-user-id', 403, { chmod: '4755' }, { 'upload-length': '1' }],
  ['an unknown user', 401, { username: 'nobody-here' }, { 'upload-length': '1' }],
  ['a join of nothing', 400, {}, { 'upload-concat': 'final;' }],
  ['a join of what there is not', 404, {}, { 'upload-concat': 'final;/uploads/00000000-0000-4000-8000-000000000000' }],
] as const)('an upload of %s is refused with %i, and leaves nothing', async (_what, status, query, headers) => {
  await using files = await startFilesFront()
  const target = `/uploads?${new URLSearchParams({ path: join(files.dir, 'f'), ...query })}`
  expect((await call(files, 'POST', target, { headers })).status).toBe(status)
  expect(await leftovers(files)).toEqual([])
})

test('a disk that is full in the middle is 507, and the upload goes on when there is room', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const disk = join(files.dir, 'disk')
  await mkdir(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=777', 'tmpfs', disk])
  try {
    const body = Buffer.alloc(3 * 1024 * 1024, 'body')
    const url = await create(files, { path: join(disk, 'f') }, body.length)
    await writeFile(join(disk, 'filler'), Buffer.alloc(2 * 1024 * 1024))
    expect((await patch(files, url, [0, body])).status).toBe(507)
    const offset = Number(await offsetOf(files, url))
    expect(offset).toBeGreaterThan(0)
    expect(offset).toBeLessThan(body.length)
    expect(await readdir(disk)).not.toContain('f')
    await rm(join(disk, 'filler'))
    expect((await patch(files, url, [offset, body.subarray(offset)])).status).toBe(204)
    expect((await readFile(join(disk, 'f'))).equals(body)).toBe(true)
  } finally {
    execFileSync('umount', ['-l', disk])
  }
})

test('a disk without room is 507 before a byte is sent', async () => {
  await using files = await startFilesFront({ uploadBytes: 2 ** 52 })
  const target = `/uploads?${new URLSearchParams({ path: join(files.dir, 'f') })}`
  expect((await call(files, 'POST', target, { headers: { 'upload-length': String(2 ** 50) } })).status).toBe(507)
  expect(await leftovers(files)).toEqual([])
})

test('one user may reserve half of the bytes', async () => {
  await using files = await startFilesFront({ uploadBytes: 4000 })
  const path = join(files.dir, 'f')
  const url = await create(files, { path }, 1500)
  const target = `/uploads?${new URLSearchParams({ path })}`
  const second = () => call(files, 'POST', target, { headers: { 'upload-length': '600' } })
  expect((await second()).status).toBe(429)
  await call(files, 'DELETE', url)
  expect((await second()).status).toBe(201)
})

test('what had come is not there any more: 404, and the upload is forgotten', async () => {
  await using files = await startFilesFront()
  const dir = join(files.dir, 'd')
  const url = await create(files, { path: join(dir, 'f') }, 10)
  await rm(dir, { recursive: true })
  expect((await patch(files, url, [0, 'x'])).status).toBe(404)
  expect(await leftovers(files)).toEqual([])
})

test('nothing is written through a link that takes the place of the directory or of the file', async (context) => {
  needsRoot(context)
  await using files = await startFilesFront()
  const [dir, away, victim] = [join(files.dir, 'd'), join(files.dir, 'away'), join(files.dir, 'victim')]
  const url = await create(files, { path: join(dir, 'f') }, 10)
  const [name = ''] = await readdir(dir)
  await writeFile(victim, 'kept')
  await rename(dir, away)
  await mkdir(dir)
  await symlink(victim, join(dir, name))
  expect((await patch(files, url, [0, '0123456789'])).status).toBe(404)
  await rm(dir, { recursive: true })
  await symlink(away, dir)
  expect(await readFile(victim, 'utf8')).toBe('kept')
})

function signature(path: string, token: string): string {
  const digest = createHash('sha256').update(`${path}:write::${token}`).digest('base64')
  return `v1_${digest.replace(/=+$/, '')}`
}

test('with a token: the header, or the signature for writing the path, in every request', async () => {
  await using files = await startFilesFront()
  files.front.token.set('secret')
  const path = join(files.dir, 'f')
  const target = `/uploads?${new URLSearchParams({ path })}`
  const length = { headers: { 'upload-length': '6' } }
  expect((await call(files, 'POST', target, length)).status).toBe(401)
  const other = new URLSearchParams({ path, signature: signature('/other', 'secret') })
  expect((await call(files, 'POST', `/uploads?${other}`, length)).status).toBe(401)
  const signed = await create(files, { path, signature: signature(path, 'secret') }, 6)
  expect((await patch(files, signed, [0, 'abc'])).status).toBe(204)
  const bare = signed.replace(/\?.*/, '')
  expect((await patch(files, bare, [3, 'def'])).status).toBe(401)
  const wrong = new URLSearchParams({ path: '/other', signature: signature('/other', 'secret') })
  expect((await patch(files, `${bare}?${wrong}`, [3, 'def'])).status).toBe(404)
  expect((await patch(files, bare, [3, 'def'], { 'x-access-token': 'secret' })).status).toBe(204)
  expect(await readFile(path, 'utf8')).toBe('abcdef')
})

test('a signature without a path is for names below the home', async () => {
  await using files = await startFilesFront()
  files.front.token.set('secret')
  const query = { path: '', signature: signature('', 'secret') }
  const named = (name: string) => ({
    'upload-length': '1',
    'upload-metadata': `filename ${Buffer.from(name).toString('base64')}`,
  })
  for (const name of ['../x', '/etc/x', '~/x'])
    expect((await call(files, 'POST', `/uploads?${new URLSearchParams(query)}`, { headers: named(name) })).status).toBe(
      400,
    )
  const url = await create(files, query, 1, named('in'))
  await patch(files, url, [0, 'x'])
  expect(await readFile(join(files.people.ann.home, 'in'), 'utf8')).toBe('x')
  await symlink(files.dir, join(files.people.ann.home, 'out'))
  const out = await call(files, 'POST', `/uploads?${new URLSearchParams(query)}`, { headers: named('out/x') })
  expect(out.status).toBe(400)
  expect((await readdir(files.dir)).filter((name) => name.startsWith('.envd'))).toEqual([])
})

test('a user keeps to their own rights with -strict-file-users', async (context) => {
  needsRoot(context)
  await using files = await startFilesFront({ strictFileUsers: true })
  const target = `/uploads?${new URLSearchParams({ path: join(files.dir, 'f') })}`
  const answer = await call(files, 'POST', target, { headers: { 'upload-length': '1' } })
  expect(answer.status).toBe(403)
  expect(await leftovers(files)).toEqual([])
  // Made by root for this test.
  await chown(files.people.ann.home, files.people.ann.uid, files.people.ann.gid)
  const path = join(files.people.ann.home, 'f')
  await patch(files, await create(files, { path }, 1), [0, 'x'])
  expect(await stat(path)).toMatchObject({ uid: files.people.ann.uid, size: 1 })
})
