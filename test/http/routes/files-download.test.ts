import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { link, mkdir, open, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { needsRoot } from '../../_util/namespace.ts'
import { failed, startFilesFront } from '../files-front.ts'

const TIME = new Date('2024-02-03T04:05:06Z')
const TIME_TEXT = 'Sat, 03 Feb 2024 04:05:06 GMT'

async function withFile(content: string | Uint8Array = '0123456789', name = 'f') {
  const files = await startFilesFront()
  const path = join(files.dir, name)
  await writeFile(path, content)
  await utimes(path, TIME, TIME)
  return { ...files, path, fetch: (headers = {}) => files.get({ path }, headers) }
}

test('B4 B6 B10 a token asks for a signature or a header, and a good one of them for a file that is there', async () => {
  await using files = await withFile()
  expect((await files.fetch()).status).toBe(200)
  files.front.token.set('secret')
  expect(await files.fetch()).toMatchObject(failed(401, 'missing signature query parameter'))
  expect((await files.fetch({ 'x-access-token': 'secret' })).status).toBe(200)
  const missing = await files.get({ path: `${files.dir}/no` }, { 'x-access-token': 'secret' })
  expect(missing).toMatchObject(failed(404, `path '${files.dir}/no' does not exist`))
})

test('B14 an absent user is the default one, an empty or unknown one is refused, none at all is a bad request', async () => {
  await using files = await startFilesFront()
  await writeFile(join(files.people.ann.home, 'hello'), 'hi')
  expect((await files.get({ path: 'hello' })).text).toBe('hi')
  expect((await files.get({ path: 'hello', username: 'ann' })).text).toBe('hi')
  expect(await files.get({ path: 'hello', username: '' })).toMatchObject(
    failed(401, "error looking up user '': user: unknown user "),
  )
  expect(await files.get({ path: 'hello', username: 'x' })).toMatchObject(
    failed(401, "error looking up user 'x': user: unknown user x"),
  )
  files.defaults.user = ''
  expect(await files.get({ path: 'hello' })).toMatchObject(failed(400, 'username not provided'))
})

test('B15 a path of another home is refused by the name it was given', async () => {
  await using files = await startFilesFront()
  const reason = "failed to expand path '~bob' for user 'ann': cannot expand user-specific home dir"
  expect(await files.get({ path: '~bob' })).toMatchObject(
    failed(400, `error expanding and resolving path '~bob': ${reason}`),
  )
})

test('A20 a parameter that is given twice, or is no number, is a bad request', async () => {
  await using files = await startFilesFront()
  const format = 'Invalid format for parameter'
  expect(await files.get('path=a&path=b')).toMatchObject(
    failed(400, `${format} path: multiple values for single value parameter 'path'`),
  )
  for (const text of ['abc', '', '1.5']) {
    const problem = `strconv.ParseInt: parsing "${text}": invalid syntax`
    expect(await files.get(`signature_expiration=${text}`)).toMatchObject(
      failed(400, `${format} signature_expiration: error binding string parameter: ${problem}`),
    )
  }
  // Names mean what they are when they are decoded.
  expect(await files.get('p%61th=/etc/shadow&path=a')).toMatchObject(
    failed(400, `${format} path: multiple values for single value parameter 'path'`),
  )
  await writeFile(join(files.dir, 'a'), 'x')
  for (const query of [`p%61th=${files.dir}/a`, `pa%zz=1&path%ff=1&path+=1&path=${files.dir}/a`])
    expect(await files.get(query)).toMatchObject({ status: 200, text: 'x' })
  expect(await files.get('path=%ff')).toMatchObject(failed(400, `${format} path: not percent-encoded UTF-8`))
})

test('B16 what is no file is refused: missing, a directory, below a file, a link cycle, a NUL byte', async () => {
  await using files = await withFile()
  const { dir } = files
  await symlink('loop', join(dir, 'loop'))
  const read = (path: string) => files.get({ path })
  expect(await read(`${dir}/no`)).toMatchObject(failed(404, `path '${dir}/no' does not exist`))
  expect(await read(dir)).toMatchObject(failed(400, `path '${dir}' is a directory`))
  expect(await files.get('')).toMatchObject(failed(400, `path '${files.people.ann.home}' is a directory`))
  const cases = [
    [`${dir}/f/x`, 'not a directory'],
    [`${dir}/loop`, 'too many levels of symbolic links'],
    [`${dir}/a\0b`, 'invalid argument'],
    [`${dir}/${'n'.repeat(300)}`, 'file name too long'],
  ]
  for (const [path = '', reason] of cases) {
    const shown = path.replace('\0', '\\u0000')
    expect(await read(path)).toMatchObject(
      failed(500, `error checking if path exists '${shown}': stat ${shown}: ${reason}`),
    )
  }
})

test('B16 the encoding is looked at after the file', async () => {
  await using files = await withFile()
  const headers = { 'accept-encoding': 'identity;q=0' }
  expect((await files.get({ path: `${files.dir}/no` }, headers)).status).toBe(404)
  expect(await files.fetch(headers)).toMatchObject(
    failed(406, 'error parsing Accept-Encoding: no acceptable encoding found, supported: [gzip zstd]'),
  )
})

test('B17 B18 a file comes with its name, type, time and length', async () => {
  await using files = await withFile('{"a":1}', 'x y.json')
  const answer = await files.fetch({ origin: 'http://a' })
  expect(answer).toMatchObject({ status: 200, text: '{"a":1}' })
  expect(answer.headers).toMatchObject({
    'content-disposition': 'inline; filename="x y.json"',
    vary: 'Accept-Encoding',
    'content-type': 'application/json',
    'last-modified': TIME_TEXT,
    'accept-ranges': 'bytes',
    'content-length': '7',
  })
})

test('B17 a name of any characters makes a valid header', async () => {
  await using files = await withFile('x', '日本\n"😀.txt')
  expect((await files.fetch()).headers['content-disposition']).toBe(
    "inline; filename*=utf-8''%E6%97%A5%E6%9C%AC%0A%22%F0%9F%98%80.txt",
  )
})

test('B18 without an extension that is known the first bytes decide the type', async () => {
  await using files = await startFilesFront()
  const cases: [string, string | Buffer, string][] = [
    ['empty', '', 'text/plain; charset=utf-8'],
    ['text', 'hello', 'text/plain; charset=utf-8'],
    ['html', ' \n<html>', 'text/html; charset=utf-8'],
    ['png', Buffer.from('89504e470d0a1a0a00', 'hex'), 'image/png'],
    ['binary', Buffer.from([1, 2, 0, 3]), 'application/octet-stream'],
    ['late', Buffer.concat([Buffer.alloc(512, 65), Buffer.from([0])]), 'text/plain; charset=utf-8'],
    ['page.html', 'x', 'text/html; charset=utf-8'],
    ['PAGE.HTML', 'x', 'text/html; charset=utf-8'],
    ['pic.png', 'x', 'image/png'],
  ]
  for (const [name, content, type] of cases) {
    const path = join(files.dir, name)
    await writeFile(path, content)
    expect((await files.get({ path })).headers['content-type']).toBe(type)
  }
})

test('B18 an empty file has a length of zero, also for a client that takes gzip', async () => {
  await using files = await withFile('')
  for (const headers of [{}, { 'accept-encoding': 'gzip, deflate' }]) {
    expect(await files.fetch(headers)).toMatchObject({ status: 200, text: '', headers: { 'content-length': '0' } })
  }
})

test('B25 links are followed, and name and type are those of the link', async () => {
  await using files = await withFile('x', 'target.bin')
  await symlink('target.bin', join(files.dir, 'link.json'))
  const answer = await files.get({ path: join(files.dir, 'link.json') })
  expect(answer).toMatchObject({ status: 200, text: 'x' })
  expect(answer.headers).toMatchObject({
    'content-type': 'application/json',
    'content-disposition': 'inline; filename=link.json',
  })
})

test('B26 files of the kernel, whose size is not known, are read to their end', async () => {
  await using files = await startFilesFront()
  for (const path of ['/proc/version', '/proc/sys/kernel/ostype', '/sys/kernel/mm/transparent_hugepage/enabled']) {
    const expected = await readFile(path, 'utf8').catch(() => undefined)
    if (expected === undefined) continue
    expect(await files.get({ path })).toMatchObject({ status: 200, text: expected })
    const zipped = await files.get({ path }, { 'accept-encoding': 'gzip' })
    expect(gunzipSync(zipped.body).toString()).toBe(expected)
  }
  // Longer than what is read at once.
  const long = await files.get({ path: '/proc/kallsyms' })
  expect(long.text.split('\n').length).toBe((await readFile('/proc/kallsyms', 'utf8')).split('\n').length)
})

test('B27 pipes, sockets and devices are refused at once, 200 at a time', async () => {
  await using files = await withFile()
  const fifo = join(files.dir, 'fifo')
  execFileSync('mkfifo', [fifo])
  const socket = join(files.dir, 'socket')
  const server = createServer().listen(socket)
  await once(server, 'listening')
  const refused = (path: string) => failed(400, `path '${path}' is not a regular file`)
  await Promise.all(
    Array.from({ length: 200 }, async (_, i) => {
      const path = [fifo, socket, '/dev/zero', '/dev/tty'][i % 4] ?? fifo
      expect(await files.get({ path })).toMatchObject(refused(path))
    }),
  )
  expect(await files.get({ path: '/dev/null' })).toMatchObject({ status: 200, headers: { 'content-length': '0' } })
  server.close()
})

test('A43 a download reads what only root may read', async (context) => {
  needsRoot(context)
  await using files = await startFilesFront()
  const dir = join(files.dir, 'closed')
  await mkdir(dir, { mode: 0o700 })
  await using handle = await open(join(dir, 'secret'), 'w', 0o600)
  await handle.write('secret')
  await link(join(dir, 'secret'), join(dir, 'again'))
  expect((await stat(dir)).uid).toBe(0)
  expect((await files.get({ path: join(dir, 'secret') })).text).toBe('secret')
})
