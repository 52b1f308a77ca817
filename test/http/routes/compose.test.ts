import { execFileSync } from 'node:child_process'
import { link, mkdir, readdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { needsNamespace } from '../../_util/namespace.ts'
import { failed, startFilesFront } from '../files-front.ts'

async function withSources(contents: Record<string, string | Buffer>) {
  const files = await startFilesFront()
  const dir = join(files.dir, 'work')
  await mkdir(dir)
  for (const [name, content] of Object.entries(contents)) await writeFile(join(dir, name), content)
  return { ...files, dir, at: (name: string) => join(dir, name) }
}

test('B51 a request is checked field by field', async () => {
  await using files = await withSources({ a: 'a' })
  const { at } = files
  for (const body of ['', '{', '[]', '"x"', '{"source_paths":"a"}', '{"source_paths":["a"],"destination":1}']) {
    const answer = await files.compose(body)
    expect(answer.status).toBe(400)
    expect(answer.text).toContain('"message":"invalid request body: ')
  }
  expect((await files.compose(`"${'x'.repeat(1024 * 1024)}"`)).text).toContain('larger than the limit of 1048576 bytes')
  const cases: [object, number, string][] = [
    [{ source_paths: [], destination: '' }, 400, 'source_paths must not be empty'],
    [{ source_paths: ['a'], destination: '' }, 400, 'destination is required'],
    [{ source_paths: ['a'], destination: 'b', username: 'x' }, 401, "error looking up user 'x': user: unknown user x"],
    [{ source_paths: ['no'], destination: at('b') }, 404, 'source file not found: no'],
    [{ source_paths: [files.dir], destination: at('b') }, 400, `source path is not a regular file: ${files.dir}`],
    [
      { source_paths: [at('a')], destination: at('a') },
      400,
      `source path "${at('a')}" cannot be the same as destination`,
    ],
  ]
  for (const [message, status, text] of cases) expect(await files.compose(message)).toMatchObject(failed(status, text))
  const home = "failed to expand path '~bob' for user 'ann': cannot expand user-specific home dir"
  expect(await files.compose({ source_paths: [at('a')], destination: '~bob' })).toMatchObject(
    failed(400, `error resolving destination path: ${home}`),
  )
  expect(await files.compose({ source_paths: ['~bob'], destination: at('b') })).toMatchObject(
    failed(400, `error resolving source path "~bob": ${home}`),
  )
  files.defaults.user = ''
  expect(await files.compose({ source_paths: ['a'], destination: 'b' })).toMatchObject(
    failed(400, 'username not provided'),
  )
  expect(await readFile(at('a'), 'utf8')).toBe('a')
})

test('B51 a file that is named again and again must fit on the disk as often', async () => {
  await using files = await withSources({ a: 'a' })
  const [source, destination] = [files.at('a'), files.at('b')]
  await truncate(source, 2 ** 40)
  const answer = await files.compose({ source_paths: Array(50).fill(source), destination })
  expect(answer).toMatchObject(failed(507, 'not enough disk space available'))
  expect(await readdir(files.dir)).toEqual(['a'])
})

test('B52 files are joined in order into a new file of the user, and are gone', async () => {
  const large = Buffer.alloc(3_000_000, 'large')
  await using files = await withSources({ a: 'first,', b: large, c: ',last', target: 'old' })
  const before = await stat(files.at('target'))
  const destination = files.at('target')
  const answer = await files.compose({ source_paths: ['a', 'b', 'c'].map(files.at), destination })
  expect(answer).toMatchObject({ status: 200, text: `{"name":"target","path":"${destination}","type":"file"}\n` })
  expect(answer.headers['content-type']).toMatch(/^application\/json/)
  expect(
    (await readFile(destination)).equals(Buffer.concat([Buffer.from('first,'), large, Buffer.from(',last')])),
  ).toBe(true)
  expect(await readdir(files.dir)).toEqual(['target'])
  const after = await stat(destination)
  expect(after.ino).not.toBe(before.ino)
  expect(after).toMatchObject({ mode: 0o100644, uid: files.people.ann.uid })
})

test('B52 parents of the destination are made for the user, relative paths are below the home', async () => {
  await using files = await withSources({ a: 'x' })
  expect((await files.compose({ source_paths: [files.at('a')], destination: 'new/dir/f' })).status).toBe(200)
  const { home, uid } = files.people.ann
  expect(await readFile(join(home, 'new/dir/f'), 'utf8')).toBe('x')
  expect((await stat(join(home, 'new'))).uid).toBe(uid)
})

test('B53 a failure before the end leaves destination and sources, and nothing else', async () => {
  await using files = await withSources({ a: 'a' })
  await mkdir(files.at('dir'))
  const answer = await files.compose({ source_paths: [files.at('a')], destination: files.at('dir') })
  expect(answer.status).toBe(500)
  expect(answer.text).toMatch(/error finalizing compose: rename .*: file exists/)
  await writeFile(files.at('target'), 'old')
  expect(
    (await files.compose({ source_paths: ['a', 'no'].map(files.at), destination: files.at('target') })).status,
  ).toBe(404)
  expect(await readFile(files.at('target'), 'utf8')).toBe('old')
  expect((await readdir(files.dir)).sort()).toEqual(['a', 'dir', 'target'])
})

test('B53 a full disk is 507 and leaves no temporary file', async (context) => {
  needsNamespace(context)
  await using files = await withSources({ a: Buffer.alloc(2_000_000) })
  const disk = files.at('disk')
  await mkdir(disk)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk])
  try {
    expect(await files.compose({ source_paths: [files.at('a')], destination: join(disk, 'x') })).toMatchObject(
      failed(507, 'not enough disk space available'),
    )
    expect(await readdir(disk)).toEqual([])
    expect((await stat(files.at('a'))).size).toBe(2_000_000)
  } finally {
    execFileSync('umount', [disk])
  }
})

test('B54 a source that is named twice is there twice', async () => {
  await using files = await withSources({ a: 'ab' })
  const destination = files.at('b')
  expect((await files.compose({ source_paths: [files.at('a'), files.at('a')], destination })).status).toBe(200)
  expect(await readFile(destination, 'utf8')).toBe('abab')
})

test('B55 a file is never its own source, whatever it is called', async () => {
  await using files = await withSources({ a: 'precious' })
  await link(files.at('a'), files.at('hard'))
  await symlink('a', files.at('soft'))
  await symlink('.', files.at('dir'))
  for (const name of ['./a', 'hard', 'soft', 'dir/a', '../work/a']) {
    const source = `${files.dir}/${name}`
    expect(await files.compose({ source_paths: [source], destination: files.at('a') })).toMatchObject(
      failed(400, `source path "${source}" cannot be the same as destination`),
    )
  }
  expect(await readFile(files.at('a'), 'utf8')).toBe('precious')
})

test('B13 no signature opens compose', async () => {
  await using files = await withSources({ a: 'a' })
  files.front.token.set('secret')
  expect((await files.compose({ source_paths: [files.at('a')], destination: files.at('b') })).status).toBe(401)
})

test('compose keeps to conditions of its destination, and answers with its tag', async () => {
  await using files = await withSources({ s: 'one' })
  const [source, destination] = [files.at('s'), files.at('f')]
  const tag = async () => String((await files.get({ path: destination })).headers['etag'])
  const compose = (headers: Record<string, string>) =>
    fetch(`${files.front.url}/files/compose`, {
      method: 'POST',
      body: JSON.stringify({ source_paths: [source], destination }),
      headers: { 'content-type': 'application/json', ...headers },
    })
  expect((await compose({ 'if-match': '*' })).status).toBe(412)
  expect(await readdir(files.dir)).toEqual(['s'])
  const made = await compose({ 'if-none-match': '*' })
  expect([made.status, made.headers.get('etag')]).toEqual([200, await tag()])
  await writeFile(source, 'two')
  expect((await compose({ 'if-none-match': '*' })).status).toBe(412)
  expect((await compose({ 'if-match': '"x"' })).status).toBe(412)
  expect((await readdir(files.dir)).sort()).toEqual(['f', 's'])
  expect((await compose({ 'if-match': await tag() })).status).toBe(200)
  expect(await readFile(destination, 'utf8')).toBe('two')
})
