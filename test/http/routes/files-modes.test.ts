import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, openSync, symlinkSync } from 'node:fs'
import { chmod, chown, readdir, readFile, readlink, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { unpackFinished } from '../../../src/native/entries.ts'
import { finishFile } from '../../../src/native/files.ts'
import type { Headers } from '../../_util/http.ts'
import { needsNamespace, needsRoot } from '../../_util/namespace.ts'
import { type FilesFront, OCTETS, type Query, startFilesFront } from '../files-front.ts'
import { connectRaw } from '../front.ts'

/** What is in the directory, less what `makePeople` puts there. */
async function names(dir: string): Promise<string[]> {
  return (await readdir(dir)).filter((name) => !['group', 'home', 'passwd'].includes(name)).sort()
}

async function tagOf(files: FilesFront, path: string): Promise<string> {
  const { etag } = (await files.get({ path })).headers
  return String(etag)
}

/** Uploads; gives the status, and nothing may be left beside the files that are named. */
async function upload(files: FilesFront, query: Query, content: string, headers: Headers = {}): Promise<number> {
  const before = (await names(files.dir)).filter((name) => name !== 'f')
  const { status } = await files.post(query, content, { ...OCTETS, ...headers })
  expect((await names(files.dir)).filter((name) => name !== 'f')).toEqual(before)
  return status
}

const LONG = 'long content '.repeat(20_000)

test.each([undefined, 'overwrite', 'atomic', 'create', 'append'])(
  'mode %s: an upload has the tag of the next download',
  async (mode) => {
    await using files = await startFilesFront()
    const path = join(files.dir, 'f')
    for (const [content, headers] of [
      ['short', {}],
      [LONG, { 'x-metadata-key': 'value' }],
    ] as const) {
      if (mode === 'create') execFileSync('rm', ['-f', path])
      const answer = await files.post(mode === undefined ? { path } : { path, mode }, content, {
        ...OCTETS,
        ...headers,
      })
      expect(answer.status).toBe(200)
      const { etag } = answer.headers
      expect(etag).toMatch(/^"[a-z0-9-]+"$/)
      expect(await tagOf(files, path)).toBe(etag)
      if (mode !== 'append') expect(await readFile(path, 'utf8')).toBe(content)
      const metadata = 'x-metadata-key' in headers ? { metadata: { key: 'value' } } : {}
      expect(JSON.parse(answer.text)).toEqual([{ name: 'f', path, type: 'file', ...metadata }])
    }
  },
)

test('a form of one file has its tag, one of two has none', async () => {
  await using files = await startFilesFront()
  const part = (name: string) => `--x\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\nc\r\n`
  const type = { 'content-type': 'multipart/form-data; boundary=x' }
  const path = join(files.dir, 'a')
  const one = await files.post({ mode: 'atomic' }, `${part(path)}--x--\r\n`, type)
  expect(one.headers).toMatchObject({ etag: await tagOf(files, path) })
  const two = await files.post({}, `${part(path)}${part(join(files.dir, 'b'))}--x--\r\n`, type)
  expect(two.status).toBe(200)
  expect(two.headers).not.toHaveProperty('etag')
})

test('mode=atomic puts a new file in place, with owner, permissions and attributes of the old one, whose other names keep it', async (context) => {
  needsRoot(context)
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  await writeFile(path, 'old')
  await chown(path, 12345, 12346)
  await chmod(path, 0o2751)
  await finishFile(openSync(path, 'r+'), 'user.other.', ['name', 'kept'])
  await chmod(path, 0o2751)
  linkSync(path, join(files.dir, 'link'))
  const { ino } = await stat(path)
  expect(await upload(files, { path, mode: 'atomic' }, LONG)).toBe(200)
  expect(await readFile(path, 'utf8')).toBe(LONG)
  expect(await readFile(join(files.dir, 'link'), 'utf8')).toBe('old')
  const now = await stat(path)
  expect(now).toMatchObject({ uid: 12345, gid: 12346, mode: 0o100751, nlink: 1 })
  expect(now.ino).not.toBe(ino)
  const { attributes } = unpackFinished(await finishFile(openSync(path, 'r+'), 'user.other.', undefined))
  expect(attributes.map(String)).toEqual(['name,kept'])
})

test('mode=atomic goes through a link to the file, and makes directories', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'new/er/f')
  expect((await files.post({ path, mode: 'atomic' }, 'one', OCTETS)).status).toBe(200)
  symlinkSync(path, join(files.dir, 'link'))
  expect(
    (await files.post({ path: join(files.dir, 'link'), mode: 'atomic', username: 'root' }, 'two', OCTETS)).status,
  ).toBe(200)
  expect(await readFile(path, 'utf8')).toBe('two')
  expect(await readdir(join(files.dir, 'new/er'))).toEqual(['f'])
})

test('mode=create refuses what exists with 409, also a link that leads nowhere', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  expect(await upload(files, { path, mode: 'create' }, 'one')).toBe(200)
  expect(await upload(files, { path, mode: 'create' }, 'two')).toBe(409)
  expect(await readFile(path, 'utf8')).toBe('one')
  const link = join(files.dir, 'link')
  symlinkSync(join(files.dir, 'nowhere'), link)
  expect(await upload(files, { path: link, mode: 'create' }, 'two')).toBe(409)
})

test('mode=create: of many at once one succeeds', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const all = await Promise.all(
    Array.from({ length: 20 }, (_, at) => files.post({ path, mode: 'create' }, `${at}`, OCTETS)),
  )
  const statuses = all.map(({ status }) => status).sort()
  expect(statuses).toEqual([200, ...Array.from({ length: 19 }, () => 409)])
  expect(await readFile(path, 'utf8')).toBe(String(all.findIndex(({ status }) => status === 200)))
  expect(await names(files.dir)).toEqual(['f'])
})

test.each([undefined, 'atomic', 'overwrite', 'append'])(
  'If-Match, mode %s: of many at once that know the same version one succeeds, and none is lost over rounds',
  async (mode) => {
    await using files = await startFilesFront()
    const path = join(files.dir, 'f')
    await files.put(path, '0\n')
    const query = mode === undefined ? { path } : { path, mode }
    for (let round = 1; round <= 10; round++) {
      const tag = await tagOf(files, path)
      const old = await readFile(path, 'utf8')
      const all = await Promise.all(
        Array.from({ length: 8 }, (_, at) =>
          files.post(query, `${mode === 'append' ? '' : old}${at}\n`, { ...OCTETS, 'if-match': tag }),
        ),
      )
      const won = all.flatMap(({ status }, at) => (status === 200 ? [at] : []))
      expect(all.filter(({ status }) => status === 412)).toHaveLength(7)
      expect(won).toHaveLength(1)
      expect(await readFile(path, 'utf8')).toBe(`${old}${won[0]}\n`)
    }
    expect(await names(files.dir)).toEqual(['f'])
  },
)

describe.each([undefined, 'atomic', 'overwrite', 'append'])('conditions of an upload, mode %s', (mode) => {
  test('412 and nothing written unless they hold', async () => {
    await using files = await startFilesFront()
    const path = join(files.dir, 'f')
    const query = mode === undefined ? { path } : { path, mode }
    expect(await upload(files, query, 'x', { 'if-match': '*' })).toBe(412)
    expect(await upload(files, query, 'x', { 'if-match': '"none"' })).toBe(412)
    expect(await names(files.dir)).toEqual([])
    expect(await upload(files, query, 'one', { 'if-none-match': '*' })).toBe(200)
    expect(await upload(files, query, 'two', { 'if-none-match': '*' })).toBe(412)
    const tag = await tagOf(files, path)
    expect(await upload(files, query, 'two', { 'if-none-match': `W/${tag}` })).toBe(412)
    expect(await upload(files, query, 'two', { 'if-match': `W/${tag}` })).toBe(412)
    expect(await upload(files, query, 'two', { 'if-unmodified-since': 'Thu, 01 Jan 1970 00:00:01 GMT' })).toBe(412)
    expect(await readFile(path, 'utf8')).toBe('one')
    expect(await upload(files, query, LONG, { 'if-match': `"x", ${tag}` })).toBe(200)
    expect(await upload(files, query, LONG, { 'if-match': tag })).toBe(412)
    for (const bad of ['none', '"open', 'W/', '"a" "b"', '*, "a"'])
      expect(await upload(files, query, 'x', { 'if-match': bad }), bad).toBe(400)
    expect(await readFile(path, 'utf8')).toBe(mode === 'append' ? `one${LONG}` : LONG)
  })
})

test('mode=append appends, also many at once, keeps metadata and inode, and makes a missing file', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  const lines = Array.from({ length: 50 }, (_, at) => `${String(at).padStart(3, '0')} ${'x'.repeat(3000)}\n`)
  expect((await files.post({ path, mode: 'append' }, '', { ...OCTETS, 'x-metadata-a': 'b' })).status).toBe(200)
  const { ino } = await stat(path)
  const all = await Promise.all(lines.map((line) => files.post({ path, mode: 'append' }, line, OCTETS)))
  expect(all.map(({ text }) => JSON.parse(text)[0].metadata)).toEqual(lines.map(() => ({ a: 'b' })))
  expect((await readFile(path, 'utf8')).match(/.*\n/g)?.sort()).toEqual(lines)
  expect((await stat(path)).ino).toBe(ino)
})

test.each(['atomic', 'create', 'append', 'overwrite'])(
  'mode=%s: an upload that is cut off leaves what was there, and nothing else',
  async (mode) => {
    for (const bytes of [10, 40_000, 500_000]) {
      await using files = await startFilesFront()
      const path = join(files.dir, 'f')
      if (mode !== 'create') await writeFile(path, 'old')
      const client = await connectRaw(files.front.port)
      const head = 'Host: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 100000000\r\n\r\n'
      client.write(`POST /files?path=${path}&mode=${mode} HTTP/1.1\r\n${head}`)
      await new Promise((resolve) => client.socket.write(Buffer.alloc(bytes, 'n'), resolve))
      await expect.poll(() => openFiles(files.dir)).not.toEqual([])
      client.socket.resetAndDestroy()
      await expect.poll(() => openFiles(files.dir)).toEqual([])
      expect(await names(files.dir)).toEqual(mode === 'create' ? [] : ['f'])
      if (mode === 'append' && bytes > 64 * 1024) expect((await readFile(path, 'utf8')).slice(0, 4)).toBe('oldn')
      else if (mode !== 'create') expect(await readFile(path, 'utf8')).toBe('old')
    }
  },
)

async function openFiles(dir: string): Promise<string[]> {
  const numbers = await readdir('/proc/self/fd')
  const links = await Promise.all(numbers.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')))
  return links.filter((link) => link.startsWith(`${dir}/`))
}

test('chmod sets permissions, of new and old files, in every mode; bad ones are 400, dangerous ones 403', async (context) => {
  needsRoot(context)
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  for (const mode of ['create', 'overwrite', 'atomic', 'append']) {
    expect(await upload(files, { path, mode, chmod: '0640' }, 'x')).toBe(200)
    expect((await stat(path)).mode & 0o7777).toBe(0o640)
    await chmod(path, 0o600)
  }
  for (const bad of ['', '8', '99', '0o644', 'u+x', '07777777', '-1', '64 ']) {
    expect(await upload(files, { path, chmod: bad }, 'no'), bad).toBe(400)
  }
  expect(await upload(files, { path, chmod: '4755' }, 'no')).toBe(403)
  await chown(path, 0, 0)
  expect(await upload(files, { path, chmod: '0777', mode: 'atomic' }, 'no')).toBe(403)
  expect(await readFile(path, 'utf8')).toBe('xx')
  expect(await upload(files, { path, chmod: '4755', username: 'root' }, 'yes')).toBe(200)
  expect((await stat(path)).mode & 0o7777).toBe(0o4755)
})

test('other modes, directories, pipes and two modes are 400', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'f')
  for (const mode of ['', 'Atomic', 'replace']) expect(await upload(files, { path, mode }, 'x')).toBe(400)
  expect(await upload(files, `path=${path}&mode=atomic&mode=create`, 'x')).toBe(400)
  execFileSync('mkfifo', [join(files.dir, 'pipe')])
  mkdirSync(join(files.dir, 'd'))
  for (const name of ['pipe', 'd', 'd/']) {
    expect(await upload(files, { path: join(files.dir, name), mode: 'atomic' }, 'x'), name).toBe(400)
  }
})

test('mode=atomic through a link that another user planted is refused', async (context) => {
  needsRoot(context)
  await using files = await startFilesFront()
  const secret = join(files.dir, 'secret')
  await writeFile(secret, 'secret')
  await chown(secret, 0, 0)
  const uid = 12345
  const link = join(files.dir, 'link')
  execFileSync('sh', ['-c', 'ln -s "$1" "$2" && chown -h "$3" "$2"', 'sh', secret, link, String(uid)])
  expect(await upload(files, { path: link, mode: 'atomic' }, 'x')).toBe(403)
  expect(await upload(files, { path: link }, 'x', { 'if-match': '*' })).toBe(403)
  expect(await readFile(secret, 'utf8')).toBe('secret')
})

test('mode=atomic onto a mount point and a full disk leave everything as it was, with 409 and 507', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const [mounted, source] = [join(files.dir, 'f'), join(files.dir, 'source')]
  await writeFile(mounted, 'under')
  await writeFile(source, 'over')
  execFileSync('mount', ['--bind', source, mounted])
  expect(await upload(files, { path: mounted, mode: 'atomic', username: 'root' }, 'x')).toBe(409)
  expect(await readFile(mounted, 'utf8')).toBe('over')
  execFileSync('umount', [mounted])
  const full = join(files.dir, 'full')
  mkdirSync(full)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', full])
  await writeFile(join(full, 'f'), 'old')
  for (const mode of ['atomic', 'create']) {
    const path = join(full, mode === 'create' ? 'new' : 'f')
    expect((await files.post({ path, mode, username: 'root' }, LONG, OCTETS)).status).toBe(507)
  }
  expect(await readdir(full)).toEqual(['f'])
  expect(await readFile(join(full, 'f'), 'utf8')).toBe('old')
  execFileSync('umount', [full])
})
