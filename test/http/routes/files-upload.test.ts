import { execFileSync } from 'node:child_process'
import { chmod, link, lstat, mkdir, readdir, readFile, readlink, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test, vi } from 'vitest'
import { sendWhole } from '../../_util/http.ts'
import { needsNamespace, needsRoot } from '../../_util/namespace.ts'
import { type FilesFront, failed, OCTETS, startFilesFront } from '../files-front.ts'
import { connectRaw } from '../front.ts'

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

test('B30 F9 another encoding, a body that is not gzip, damaged or cut gzip are refused', async () => {
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

test('B38 B39 F6 what is made belongs to the user, what was there stays as it was', async (context) => {
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

test('B38 F5 64 uploads into the same new tree all arrive', async () => {
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
  expect(await stat(path)).toMatchObject({ ino: before.ino, mode: before.mode, nlink: 2, uid: files.people.ann.uid })
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

test('F14 pipes and devices are no targets, and stop nothing', async () => {
  await using files = await startFilesFront()
  const fifo = join(files.dir, 'fifo')
  execFileSync('mkfifo', [fifo])
  const before = await stat('/dev/null')
  for (const path of [fifo, '/dev/null', '/dev/tty']) {
    expect(await files.post({ path }, 'x')).toMatchObject(failed(400, `path is not a regular file: ${path}`))
  }
  expect((await stat('/dev/null')).uid).toBe(before.uid)
})

test('B42 F7 a full disk is 507, with what was to be written', async (context) => {
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
    expect((await stat(join(disk, 'big'))).size).toBeLessThan(body.length)
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
  const { spawn } = await import('node:child_process')
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
  const path = '/proc/self/comm'
  const before = await readFile(path, 'utf8')
  await files.put(path, 'written')
  expect(await readFile(path, 'utf8')).toBe('written\n')
  await files.put(path, before.trim(), { 'x-metadata-a': 'b' })
  await files.put('/proc/sys/kernel/sched_child_runs_first', '0').catch((error: Error) => {
    expect(error.message).toMatch(/no such file|operation not permitted|permission denied|read-only/)
  })
})

test('B45 an upload that is under way can be seen in the file itself', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  using client = await connectRaw(files.front.port)
  client.write(head(path, 'content-length: 10'))
  client.write('12345')
  await expect.poll(() => readFile(path, 'utf8').catch(() => '')).toBe('12345')
  client.write('67890')
  await expect.poll(() => client.received()).toContain('200 OK')
  expect(await readFile(path, 'utf8')).toBe('1234567890')
})

test('F4 a connection that breaks in an upload is no success, and leaves no file open', async () => {
  await using files = await startFilesFront()
  const bodies = ['content-length: 10', 'transfer-encoding: chunked']
  for (const [i, framing] of bodies.entries()) {
    const path = join(files.dir, `f${i}`)
    const client = await connectRaw(files.front.port)
    client.write(head(path, framing))
    client.write(framing.startsWith('t') ? '5\r\n12345\r\n' : '12345')
    await expect.poll(() => readFile(path, 'utf8').catch(() => '')).toBe('12345')
    client.socket.resetAndDestroy()
    await vi.waitFor(async () => expect(await openFilesBelow(files.dir)).toBe(0), 5_000)
    expect(client.received()).toBe('')
  }
})

test('F4 a form that is cut in a part is refused, with the connection still up', async () => {
  await using files = await startFilesFront()
  const body = form([['file', 'a', 'complete']]).slice(0, -8)
  expect(await postForm(files, {}, body)).toMatchObject({ status: 400 })
  await vi.waitFor(async () => expect(await openFilesBelow(files.dir)).toBe(0), 5_000)
})

test('F2 an upload without a byte for too long fails, a slow one does not', async () => {
  await using files = await startFilesFront({ uploadIdleMs: 300 })
  for (const type of ['application/octet-stream', 'multipart/form-data; boundary=x']) {
    using client = await connectRaw(files.front.port)
    client.write(head(join(files.dir, 'f'), 'content-length: 10', type))
    await expect.poll(() => client.received(), { timeout: 5_000 }).toMatch(/^HTTP\/1\.1 504 .*no data for 0.3 s/s)
  }
  using slow = await connectRaw(files.front.port)
  slow.write(head(join(files.dir, 'g'), 'content-length: 6'))
  for (const letter of 'slowly') {
    slow.write(letter)
    await expect.poll(() => readFile(join(files.dir, 'g'), 'utf8').catch(() => '')).toContain(letter)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  await expect.poll(() => slow.received()).toContain('200 OK')
})

test('F1 an upload to a client that sends faster than the disk takes costs no memory', async () => {
  await using files = await startFilesFront()
  const before = process.memoryUsage().arrayBuffers
  let peak = 0
  const timer = setInterval(() => {
    peak = Math.max(peak, process.memoryUsage().arrayBuffers - before)
  }, 5)
  const path = join(files.dir, 'f')
  execFileSync('sh', ['-c', `head -c 200000000 /dev/urandom > ${path}.source`])
  const { spawn } = await import('node:child_process')
  const url = `${files.front.url}/files?path=${path}`
  const curl = spawn('curl', [
    '-s',
    '-H',
    'content-type: application/octet-stream',
    '-T',
    `${path}.source`,
    '-X',
    'POST',
    url,
  ])
  const [code] = await new Promise<[number]>((resolve) => curl.on('close', (status) => resolve([status ?? 1])))
  clearInterval(timer)
  expect(code).toBe(0)
  execFileSync('cmp', [path, `${path}.source`])
  expect(peak).toBeLessThan(20 * 1024 * 1024)
})

test('F3 F17 any bytes and none at all arrive as they are, over both versions of HTTP', async () => {
  await using files = await startFilesFront()
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) % 256))
  const path = join(files.dir, 'f')
  for (const http2 of [false, true]) {
    for (const body of [bytes, Buffer.from('\ufeffBOM'), Buffer.alloc(0)]) {
      const url = `${files.front.url}/files?path=${path}`
      const answer = await sendWhole(url, { method: 'POST', headers: OCTETS, body, http2 })
      expect(answer.status).toBe(200)
      expect((await readFile(path)).equals(body)).toBe(true)
    }
  }
})

test('B33 a form of another kind, without boundary or broken is a bad request', async () => {
  await using files = await startFilesFront()
  const post = (type: string, body: string) => files.post('', body, { 'content-type': type })
  const whole = form([['file', join(files.dir, 'a'), 'x']])
  expect((await post('multipart/mixed; boundary=x', whole)).status).toBe(200)
  const parsing = 'error parsing multipart form:'
  expect(await post('multipart/related; boundary=x', whole)).toMatchObject(
    failed(400, `${parsing} request Content-Type isn't multipart/form-data`),
  )
  for (const type of ['multipart/form-data', 'multipart/form-data; boundary=']) {
    expect(await post(type, whole)).toMatchObject(failed(400, `${parsing} no multipart boundary param in Content-Type`))
  }
  for (const body of ['', 'garbage', '--y--', whole.slice(0, 20), whole.slice(0, -20)]) {
    const answer = await post('multipart/form-data; boundary=x', body)
    expect(answer.status).toBe(400)
    expect(answer.text).toContain('error reading form: ')
  }
  expect((await post('multipart/form-data; boundary="x"', whole)).status).toBe(200)
})

test('B34 only parts called file are stored', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'a')
  const mixed = form([
    ['field', undefined, 'text'],
    ['files', join(files.dir, 'no'), 'x'],
    ['file', path, 'yes'],
    ['File', join(files.dir, 'no'), 'x'],
  ])
  expect(JSON.parse((await postForm(files, {}, mixed)).text)).toEqual([{ name: 'a', path, type: 'file' }])
  expect(await readdir(files.dir)).not.toContain('no')
  expect(await postForm(files, {}, form([['other', 'x', 'x']]))).toMatchObject({ status: 200, text: '[]' })
  expect(await postForm(files, {}, '--x--\r\n')).toMatchObject({ status: 200, text: '[]' })
})

test('B35 F8 parts go where their file names say, directories and all', async () => {
  await using files = await startFilesFront()
  const { home } = files.people.ann
  const names = [`${files.dir}/deep/er/c.txt`, 'rel/d.txt', '../up.txt', '~/tilde', '日本/😀.txt', 'q%22uote', 'sp ace']
  const body = form(names.map((name) => ['file', name, `content of ${name}`]))
  const stored = JSON.parse((await postForm(files, {}, body)).text).map((file: { path: string }) => file.path)
  const resolved = ['rel/d.txt', '../up.txt', 'tilde', '日本/😀.txt', 'q"uote', 'sp ace'].map((name) =>
    join(home, name),
  )
  expect(stored).toEqual([names[0], ...resolved])
  expect(await readFile(join(home, 'q"uote'), 'utf8')).toBe('content of q%22uote')
})

test('B35 a path in the query beats file names, and needs none', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  for (const name of ['blob', undefined, '']) {
    const answer = await postForm(files, { path }, form([['file', name, `by ${name}`]]))
    expect(JSON.parse(answer.text)).toEqual([{ name: 'f', path, type: 'file' }])
    expect(await readFile(path, 'utf8')).toBe(`by ${name}`)
  }
  expect(await postForm(files, {}, form([['file', undefined, 'x']]))).toMatchObject(
    failed(400, 'error getting multipart custom part file name: filename not found in Content-Disposition header'),
  )
})

test('B36 two parts for one path are refused, with what was stored before', async () => {
  await using files = await startFilesFront()
  const at = (name: string) => join(files.dir, name)
  const text = (path: string) =>
    `you cannot upload multiple files to the same path '${path}' in one upload request, only the first specified file was uploaded`
  const twice = form([
    ['file', at('a'), '1'],
    ['file', at('a'), '2'],
  ])
  expect(await postForm(files, {}, twice)).toMatchObject(failed(400, text(at('a'))))
  expect(await readFile(at('a'), 'utf8')).toBe('1')
  for (const others of [['b'], ['b', 'c']]) {
    const parts = form([...others, 'a', './a'].map((name) => ['file', `${files.dir}/${name}`, name]))
    const list = others.map(at).join(', ')
    expect(await postForm(files, {}, parts)).toMatchObject(
      failed(400, `${text(`${files.dir}/./a`)}, also the following files were uploaded: ${list}`),
    )
  }
})

test('B33 F8 a thousand small parts and one large one arrive in order', async () => {
  await using files = await startFilesFront()
  const large = 'large\r\n--y \r\n-\r\n--\r no boundary '.repeat(100_000)
  const parts: FormPart[] = Array.from({ length: 1000 }, (_, i) => ['file', join(files.dir, 'many', String(i)), `${i}`])
  const answer = await postForm(files, {}, form([...parts, ['file', join(files.dir, 'large'), large]]))
  expect(JSON.parse(answer.text).map((file: { name: string }) => file.name)).toEqual([
    ...parts.map((_, i) => String(i)),
    'large',
  ])
  expect((await readFile(join(files.dir, 'large'), 'utf8')) === large).toBe(true)
  expect(await readFile(join(files.dir, 'many/999'), 'utf8')).toBe('999')
})

test('B11 a signature lets no form name its own files', async () => {
  await using files = await startFilesFront()
  files.front.token.set('secret')
  const { createHash } = await import('node:crypto')
  const sign = (path: string) =>
    `v1_${createHash('sha256').update(`${path}:write::secret`).digest('base64').replaceAll('=', '')}`
  const body = form([['file', join(files.dir, 'any'), 'x']])
  expect(await postForm(files, { signature: sign('') }, body)).toMatchObject(
    failed(400, 'path query parameter is required for signed upload'),
  )
  const path = join(files.dir, 'one')
  expect((await postForm(files, { path, signature: sign(path) }, body)).status).toBe(200)
  expect(await readdir(files.dir)).not.toContain('any')
})

test('B46 B47 B48 B50 F16 metadata is kept with the file and replaced as a whole', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const [first] = await put(files, path, { 'X-Metadata-Foo': 'bar', 'x-metadata-empty': '' })
  expect(first?.metadata).toEqual({ foo: 'bar', empty: '' })
  execFileSync('python3', ['-c', 'import os,sys; os.setxattr(sys.argv[1], "user.mine", b"kept")', path])
  const [second] = await put(files, path, { 'x-metadata-other': 'x' })
  expect(second?.metadata).toEqual({ other: 'x' })
  const [third] = await put(files, path, {})
  expect(third).not.toHaveProperty('metadata')
  const names = execFileSync('python3', ['-c', 'import os,sys; print(os.listxattr(sys.argv[1]))', path], {
    encoding: 'utf8',
  })
  expect(names.trim()).toBe("['user.mine']")
})

test('B46 of several values the first counts, an empty key none, and every file of a form gets them', async () => {
  await using files = await startFilesFront()
  using client = await connectRaw(files.front.port)
  const body = form([
    ['file', join(files.dir, 'a'), '1'],
    ['file', join(files.dir, 'b'), '2'],
  ])
  client.write(
    `POST /files HTTP/1.1\r\nhost: x\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: ${body.length}\r\n` +
      `x-metadata-k: 1\r\nX-METADATA-K: 2\r\nx-metadata-: 3\r\nconnection: close\r\n\r\n${body}`,
  )
  const json = (await client.closed).split('\r\n\r\n')[1] ?? ''
  expect(JSON.parse(json)).toMatchObject([{ metadata: { k: '1' } }, { metadata: { k: '1' } }])
})

test('B47 metadata that is too long or not printable is refused before anything is written', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const post = (headers: Record<string, string>) => files.post({ path }, 'x', { ...OCTETS, ...headers })
  const long = 'k'.repeat(247)
  expect(await post({ [`x-metadata-${long}`]: 'v' })).toMatchObject(
    failed(400, `invalid metadata: metadata key "${long}" exceeds 246 bytes`),
  )
  expect(await post({ 'x-metadata-foo': '\xc3\xbc' })).toMatchObject(
    failed(400, 'invalid metadata: metadata value for key "foo" contains non-printable-ASCII byte 0xc3 at offset 0'),
  )
  expect(await post({ 'x-metadata-foo': 'v'.repeat(4094) })).toMatchObject(
    failed(400, 'invalid metadata: total metadata size 4106 exceeds 4096 bytes'),
  )
  expect(await readdir(files.dir)).not.toContain('f')
  expect((await post({ [`x-metadata-${'k'.repeat(246)}`]: 'v' })).status).toBe(200)
})

test('B49 a filesystem without attributes takes the file all the same', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const [stored] = await put(files, '/proc/self/comm', { 'x-metadata-a': 'b' })
  expect(stored).not.toHaveProperty('metadata')
  expect(files.logged).toContainEqual(expect.objectContaining({ level: 'warn', keys: 1 }))
})

test('F11 an early answer to a body that is still being sent can be read, and the connection goes on', async () => {
  await using files = await startFilesFront()
  using client = await connectRaw(files.front.port)
  const size = 8 * 1024 * 1024
  client.write(head(files.dir, `content-length: ${size}`))
  await expect.poll(() => client.received()).toContain('path is a directory')
  client.write(Buffer.alloc(size))
  client.write(head(join(files.dir, 'next'), 'content-length: 2'))
  client.write('ok')
  await expect.poll(() => client.received()).toContain('200 OK')
  expect(await readFile(join(files.dir, 'next'), 'utf8')).toBe('ok')
})

test('S5 directories that are made are given away by descriptor, links in their place are not followed', async (context) => {
  needsRoot(context)
  await using files = await startFilesFront()
  const { giveDirectoryTo } = await import('../../../src/filesystem/ownership.ts')
  const victim = join(files.dir, 'victim')
  await mkdir(victim)
  await symlink(victim, join(files.dir, 'swapped'))
  const owner = { name: 'ann', ...files.people.ann }
  await expect(giveDirectoryTo(join(files.dir, 'swapped'), owner)).rejects.toThrow()
  expect((await stat(victim)).uid).toBe(0)
})

type FormPart = readonly [name: string, filename: string | undefined, content: string]

function form(parts: readonly FormPart[]): string {
  const texts = parts.map(([name, filename, content]) => {
    const file = filename === undefined ? '' : `; filename="${filename}"`
    return `--x\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${content}\r\n`
  })
  return `${texts.join('')}--x--\r\n`
}

function postForm(files: FilesFront, query: Record<string, string>, body: string) {
  return files.post(query, body, { 'content-type': 'multipart/form-data; boundary=x' })
}

async function put(files: FilesFront, path: string, headers: Record<string, string>) {
  // What the daemon answers is checked by the tests.
  return (await files.put(path, 'x', headers)) as { metadata?: Record<string, string> }[]
}

function head(path: string, framing: string, type = 'application/octet-stream'): string {
  const target = `/files?path=${encodeURIComponent(path)}`
  return `POST ${target} HTTP/1.1\r\nhost: x\r\ncontent-type: ${type}\r\n${framing}\r\n\r\n`
}

async function openFilesBelow(dir: string): Promise<number> {
  const descriptors = await readdir('/proc/self/fd')
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')))
  return targets.filter((target) => target.startsWith(`${dir}/`)).length
}
