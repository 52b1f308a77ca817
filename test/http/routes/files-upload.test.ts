import { execFileSync, spawn } from 'node:child_process'
import { chmod, link, lstat, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { needsNamespace, needsRoot } from '../../_util/namespace.ts'
import { failed, OCTETS, startFilesFront } from '../files-front.ts'

test('B29 checks come in order: user, encoding, user lookup, metadata, content type', async () => {
  await using files = await startFilesFront()
  const bad = { 'content-encoding': 'br', 'x-metadata-a': 'ü', 'content-type': 'text/plain' }
  const ask = (username: string, headers: Record<string, string>) => files.post({ username }, 'x', headers)
  files.defaults.user = ''
  expect(await files.post('', 'x', bad)).toMatchObject(failed(400, 'username not provided'))
  expect((await ask('nobody-here', bad)).text).toContain('unsupported Content-Encoding: br')
  const { 'content-encoding': _, ...noEncoding } = bad
  expect(await ask('nobody-here', noEncoding)).toMatchObject({ status: 401 })
  expect((await ask('ann', noEncoding)).text).toContain('invalid metadata')
  expect((await ask('ann', { 'content-type': 'text/plain' })).text).toContain('unsupported content type')
  files.front.token.set('secret')
  expect(await files.post('', 'x', bad)).toMatchObject(failed(401, 'missing signature query parameter'))
})

test('B15 B32 a raw body needs a path that can be resolved', async () => {
  await using files = await startFilesFront()
  expect(await files.post('', 'x')).toMatchObject(failed(400, 'path query parameter is required for raw body upload'))
  expect(await files.post('path=', 'x')).toMatchObject(failed(400, `path is a directory: ${files.people.ann.home}`))
  const reason = "failed to expand path '~bob' for user 'ann': cannot expand user-specific home dir"
  expect(await files.post({ path: '~bob' }, 'x')).toMatchObject(failed(400, `error resolving path: ${reason}`))
})

test('B30 a gzip body is decoded, identity and none are not', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const text = 'hello '.repeat(100_000)
  for (const [encoding, body] of [
    ['gzip', gzipSync(text)],
    ['GZIP', Buffer.concat([gzipSync(text.slice(0, 1000)), gzipSync(text.slice(1000))])],
    ['identity', text],
    ['', text],
  ] as const) {
    expect((await files.post({ path }, body, { ...OCTETS, 'content-encoding': encoding })).status).toBe(200)
    expect((await readFile(path, 'utf8')) === text).toBe(true)
  }
})

test('B30 another encoding, a body that is not gzip, damaged or cut gzip are refused', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  await writeFile(path, 'old')
  const problem = 'error decompressing request body:'
  const post = (body: string | Buffer, encoding = 'gzip') =>
    files.post({ path }, body, { ...OCTETS, 'content-encoding': encoding })
  expect(await post('x', 'br')).toMatchObject(
    failed(400, `${problem} unsupported Content-Encoding: br, supported: [gzip]`),
  )
  expect((await post('x', 'gzip, gzip')).status).toBe(400)
  const reader = `${problem} failed to create gzip reader:`
  expect(await post('this is no gzip')).toMatchObject(failed(400, `${reader} gzip: invalid header`))
  expect(await post('')).toMatchObject(failed(400, `${reader} EOF`))
  expect(await post(gzipSync('x').subarray(0, 5))).toMatchObject(failed(400, `${reader} unexpected EOF`))
  expect(await readFile(path, 'utf8')).toBe('old')
  const whole = gzipSync(Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * i) % 251)))
  expect(await post(whole.subarray(0, whole.length / 2))).toMatchObject(
    failed(500, 'error writing file: unexpected EOF'),
  )
  const damaged = Buffer.from(whole)
  damaged.fill(0xff, 200, 250)
  expect((await post(damaged)).text).toContain(problem)
})

test('B31 a content type that is neither octets nor a form is refused with its own words', async () => {
  await using files = await startFilesFront()
  const expected = 'expected multipart/form-data or application/octet-stream'
  for (const type of ['text/plain', 'application/json; charset=utf-8', 'garbage']) {
    expect(await files.post({ path: 'x' }, 'x', { 'content-type': type })).toMatchObject(
      failed(400, `unsupported content type: ${type}, ${expected}`),
    )
  }
  expect(await files.post({ path: 'x' }, 'x', {})).toMatchObject(failed(400, `unsupported content type: , ${expected}`))
  const type = 'Application/OCTET-stream; charset=x'
  expect((await files.post({ path: 'x' }, 'x', { 'content-type': type })).status).toBe(200)
})

test('B37 a stored file is reported as JSON, with its path as it was resolved', async () => {
  await using files = await startFilesFront()
  const answer = await files.post({ path: `${files.dir}/./a//b.txt` }, 'x')
  expect(answer.headers['content-type']).toMatch(/^application\/json/)
  expect(answer.text).toBe(`[{"name":"b.txt","path":"${files.dir}/./a//b.txt","type":"file"}]`)
  const relative = await files.put('c.txt', 'x')
  expect(relative).toEqual([{ name: 'c.txt', path: join(files.people.ann.home, 'c.txt'), type: 'file' }])
})

test('B38 B39 what is made belongs to the user, what was there stays as it was', async (context) => {
  needsRoot(context)
  await using files = await startFilesFront()
  const { uid, gid } = files.people.ann
  const path = join(files.dir, 'a', 'b', 'c')
  await mkdir(join(files.dir, 'a'), { mode: 0o700 })
  await files.put(path, 'x')
  expect(await stat(join(files.dir, 'a'))).toMatchObject({ uid: 0, mode: 0o40700 })
  expect(await stat(join(files.dir, 'a/b'))).toMatchObject({ uid, gid, mode: 0o40755 })
  expect(await stat(path)).toMatchObject({ uid, gid, mode: 0o100644 })
})

test('B38 a file in the way of a directory is named', async () => {
  await using files = await startFilesFront()
  await writeFile(join(files.dir, 'x'), '')
  for (const below of ['y', 'y/z']) {
    expect(await files.post({ path: `${files.dir}/x/${below}` }, 'x')).toMatchObject(
      failed(500, `error ensuring directories: path is a file: ${files.dir}/x`),
    )
  }
})

test('B38 64 uploads into the same new tree all arrive', async () => {
  await using files = await startFilesFront()
  const { ann } = files.people
  const paths = Array.from({ length: 64 }, (_, i) => join(files.dir, 'a/b/c/d', String(i)))
  await Promise.all(paths.map((path) => files.put(path, path)))
  for (const path of paths) expect(await readFile(path, 'utf8')).toBe(path)
  for (const dir of ['a', 'a/b', 'a/b/c', 'a/b/c/d']) {
    expect((await stat(join(files.dir, dir))).uid).toBe(ann.uid)
  }
})

test('B39 an existing file is rewritten in place: inode, links and mode stay, links are followed', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  await writeFile(path, 'a longer content')
  await chmod(path, 0o600)
  await link(path, join(files.dir, 'hard'))
  await symlink('f', join(files.dir, 'soft'))
  const before = await stat(path)
  await files.put(join(files.dir, 'soft'), 'new')
  expect(await readFile(join(files.dir, 'hard'), 'utf8')).toBe('new')
  expect(await stat(path)).toMatchObject({ ino: before.ino, mode: before.mode, nlink: 2, uid: before.uid })
  expect((await lstat(join(files.dir, 'soft'))).isSymbolicLink()).toBe(true)
})

test('B39 a link to a file that is not there makes that file, and a suid bit is lost', async (context) => {
  needsRoot(context)
  await using files = await startFilesFront()
  await symlink('target', join(files.dir, 'dangling'))
  await files.put(join(files.dir, 'dangling'), 'x')
  expect(await readFile(join(files.dir, 'target'), 'utf8')).toBe('x')
  await chmod(join(files.dir, 'target'), 0o4755)
  await files.put(join(files.dir, 'target'), 'y')
  expect((await stat(join(files.dir, 'target'))).mode & 0o7777).toBe(0o755)
})

test('B40 a directory is no target, and a trailing slash makes none', async () => {
  await using files = await startFilesFront()
  expect(await files.post({ path: files.dir }, 'x')).toMatchObject(failed(400, `path is a directory: ${files.dir}`))
  const path = `${files.dir}/new/`
  expect(await files.post({ path }, 'x')).toMatchObject(failed(400, `path is a directory: ${path}`))
  expect(await readdir(files.dir)).not.toContain('new')
})

test('B41 a path that goes through what is not there is cleaned', async () => {
  await using files = await startFilesFront()
  await files.put(`${files.dir}/nope/../ok`, 'x')
  expect(await readFile(join(files.dir, 'ok'), 'utf8')).toBe('x')
  expect(await readdir(files.dir)).not.toContain('nope')
})

test('pipes and devices are no targets, and stop nothing', async () => {
  await using files = await startFilesFront()
  const fifo = join(files.dir, 'fifo')
  execFileSync('mkfifo', [fifo])
  for (const path of [fifo, '/dev/tty']) {
    expect(await files.post({ path }, 'x')).toMatchObject(failed(400, `path is not a regular file: ${path}`))
  }
})

test('devices that keep nothing take everything, and stay as they are', async (context) => {
  needsRoot(context)
  await using files = await startFilesFront()
  for (const path of ['/dev/null', '/dev/zero']) {
    const before = await stat(path)
    expect(await files.put(path, 'x'.repeat(100_000), { 'x-metadata-a': 'b' })).toEqual([
      { name: path.slice(5), path, type: 'file' },
    ])
    expect(await stat(path)).toMatchObject({ uid: before.uid, gid: before.gid, mode: before.mode, rdev: before.rdev })
  }
  expect(await files.post({ path: '/dev/full' }, 'x')).toMatchObject(
    failed(507, 'attempted to write 1 bytes: not enough disk space available'),
  )
  expect((await stat('/dev/full')).isCharacterDevice()).toBe(true)
  expect(await files.get({ path: '/dev/null' })).toMatchObject({ status: 200, text: '' })
  for (const path of ['/dev/zero', '/dev/full'])
    expect(await files.get({ path })).toMatchObject(failed(400, `path '${path}' is not a regular file`))
})

test('B42 a full disk is 507, with what was to be written', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const disk = join(files.dir, 'disk')
  await mkdir(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,nr_inodes=4', 'tmpfs', disk])
  try {
    const body = Buffer.alloc(4 * 1024 * 1024)
    expect(
      await files.post({ path: join(disk, 'big') }, body, { ...OCTETS, 'content-length': String(body.length) }),
    ).toMatchObject(failed(507, `attempted to write ${body.length} bytes: not enough disk space available`))
    expect(
      await files.post({ path: join(disk, 'big') }, body, { ...OCTETS, 'transfer-encoding': 'chunked' }),
    ).toMatchObject(failed(507, 'not enough disk space available'))
    expect(await readdir(disk)).toEqual([])
    await writeFile(join(disk, 'there'), 'old')
    expect((await files.post({ path: join(disk, 'there') }, body)).status).toBe(507)
    expect(await readdir(disk)).toEqual(['there'])
    await writeFile(join(disk, 'a'), '')
    await writeFile(join(disk, 'b'), '')
    expect(await files.post({ path: join(disk, 'c') }, 'x')).toMatchObject(
      failed(507, `not enough inodes available: open ${disk}/c: no space left on device`),
    )
    expect((await files.post({ path: join(disk, 'd/e') }, 'x')).status).toBe(507)
  } finally {
    execFileSync('umount', ['-l', disk])
  }
})

test('B43 what cannot be opened says why', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const disk = join(files.dir, 'disk')
  await mkdir(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', disk])
  try {
    expect(await files.post({ path: join(disk, 'f') }, 'x')).toMatchObject(
      failed(500, `error opening file: open ${disk}/f: read-only file system`),
    )
  } finally {
    execFileSync('umount', [disk])
  }
})

test('B43 a program that runs cannot be written', async (context) => {
  needsRoot(context)
  await using files = await startFilesFront()
  const path = join(files.dir, 'sleep')
  execFileSync('cp', ['/bin/sleep', path])
  const child = spawn(path, ['60'])
  try {
    await expect.poll(() => readlink(`/proc/${child.pid}/exe`).catch(() => '')).toBe(path)
    expect(await files.post({ path }, 'x')).toMatchObject(
      failed(500, `error opening file: open ${path}: text file busy`),
    )
  } finally {
    child.kill()
  }
})

test('B44 files of the kernel are written', async (context) => {
  needsRoot(context)
  await using files = await startFilesFront()
  const child = spawn('sleep', ['60'])
  const path = `/proc/${child.pid}/oom_score_adj`
  await files.put(path, '200', { 'x-metadata-a': 'b' })
  expect(await readFile(path, 'utf8')).toBe('200\n')
  child.kill()
  await files.put('/proc/sys/kernel/sched_child_runs_first', '0').catch((error: Error) => {
    expect(error.message).toMatch(/no such file|operation not permitted|permission denied|read-only/)
  })
})
