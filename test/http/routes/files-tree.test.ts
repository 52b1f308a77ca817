import { execFile, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { chmod, chown, mkdir, readdir, readlink, utimes, writeFile } from 'node:fs/promises'
import { get } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { needsNamespace } from '../../_util/namespace.ts'
import { type FilesFront, startFilesFront } from '../files-front.ts'
import { openFilesBelow } from '../open-below.ts'
import { isThere, listing, TARS, unpack } from '../unpacked.ts'

const execFileAsync = promisify(execFile)

/** A tree with one of everything that archives hold. */
async function makeTree(files: FilesFront): Promise<string> {
  const tree = join(files.dir, 'tree')
  await mkdir(join(tree, 'a/deep'), { recursive: true })
  await mkdir(join(tree, 'empty'))
  await writeFile(join(tree, 'a/deep/small'), 'small')
  await writeFile(join(tree, 'a/large'), Buffer.alloc(1_000_003, 'large '))
  await writeFile(join(tree, 'nothing'), '')
  await writeFile(join(tree, 'ü'.repeat(90)), 'long name')
  writeFileSync(Buffer.from(`${tree}/not-utf8-\xff`, 'latin1'), 'bytes')
  await mkdir(join(tree, 'n'.repeat(150)))
  await writeFile(join(tree, 'n'.repeat(150), 'x'), 'x')
  linkSync(join(tree, 'a/large'), join(tree, 'z-hard'))
  symlinkSync('../nowhere', join(tree, 'a/link'))
  symlinkSync('/etc/passwd', join(tree, 'absolute'))
  symlinkSync('t'.repeat(300), join(tree, 'long-link'))
  await chmod(join(tree, 'nothing'), 0o4711)
  await utimes(join(tree, 'nothing'), 1, 1_234_567_890.123)
  return tree
}

for (const [command, args] of TARS) {
  test(`a directory comes as an archive that ${command} unpacks to the same tree`, async (context) => {
    needsNamespace(context)
    if (command === 'bsdtar' && !isThere('bsdtar')) context.skip('bsdtar is not installed')
    await using files = await startFilesFront()
    const tree = await makeTree(files)
    await chown(join(tree, 'a/deep/small'), 12345, 3_000_000)
    const { status, headers, body } = await files.get({ path: tree, format: 'tar' })
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'application/x-tar',
      'content-disposition': 'attachment; filename=tree.tar',
    })
    const out = join(files.dir, 'out')
    unpack(command, args, body, out)
    expect(listing(out)).toBe(listing(tree))
    expect((await files.get({ path: tree, format: 'tar' })).body.equals(body)).toBe(true)
  })
}

test('the archive comes compressed, by format= or by Accept, over both versions of HTTP', async () => {
  await using files = await startFilesFront()
  const tree = await makeTree(files)
  const plain = (await files.get({ path: tree, format: 'tar' })).body
  const inflate = { 'tar.gz': gunzipSync, 'tar.zst': zstdDecompressSync }
  for (const [format, type] of [
    ['tar.gz', 'application/gzip'],
    ['tar.zst', 'application/zstd'],
  ] as const) {
    const byFormat = await files.get({ path: tree, format })
    expect(byFormat.headers).toMatchObject({ 'content-type': type })
    expect(inflate[format](byFormat.body).equals(plain)).toBe(true)
    expect((await files.get({ path: tree }, { accept: `${type}, */*;q=0.1` })).body.equals(byFormat.body)).toBe(true)
  }
  const url = `${files.front.url}/files?path=${tree}&format=tar`
  const options = { maxBuffer: 1e8, encoding: 'buffer' } as const
  const { stdout: http2 } = await execFileAsync('curl', ['-s', '--http2-prior-knowledge', url], options)
  expect(http2.equals(plain)).toBe(true)
})

test('directories of many names, which are not read ahead, come in their order beside small ones', async () => {
  await using files = await startFilesFront()
  const tree = join(files.dir, 'tree')
  for (const name of ['a-small', 'b-wide', 'c-small', 'd-wide']) {
    mkdirSync(join(tree, name), { recursive: true })
    const count = name.endsWith('wide') ? 600 : 3
    for (let index = 0; index < count; index++)
      writeFileSync(join(tree, name, `${'n'.repeat(200)}${1000 + index}`), `${index}`)
  }
  for (const more of [{}, { exclude: 'nothing' }]) {
    const { body } = await files.get({ path: tree, format: 'tar', ...more })
    const names = execFileSync('tar', ['-tf', '-'], { input: body, encoding: 'utf8' }).trim().split('\n')
    const inside = names.filter((name) => !name.endsWith('/'))
    expect(inside).toEqual(inside.toSorted())
    expect(names).toHaveLength(4 + 2 * 603)
  }
})

test('exclude= leaves out by patterns, prefix= leads the names', async () => {
  await using files = await startFilesFront()
  const tree = await makeTree(files)
  const { body } = await files.get({ path: tree, format: 'tar', exclude: 'large,n*,deep/', prefix: 'p/q/' })
  const names = execFileSync('tar', ['-tf', '-'], { input: body, encoding: 'utf8' }).trim().split('\n')
  expect(names.every((name) => name.startsWith('p/q/'))).toBe(true)
  expect(names.filter((name) => /large|\/n|deep/.test(name))).toEqual([])
  expect(names).toContain('p/q/z-hard')
})

test('what is asked for wrongly is refused before anything is sent, and files stay files', async () => {
  await using files = await startFilesFront()
  const tree = await makeTree(files)
  const status = async (query: Record<string, string>, accept?: string) =>
    (await files.get(query, accept === undefined ? {} : { accept })).status
  expect(await status({ path: tree })).toBe(400)
  expect(await status({ path: tree }, '*/*')).toBe(400)
  expect(await status({ path: tree }, 'text/html, application/x-tar;q=0.5')).toBe(400)
  expect(await status({ path: tree, format: 'rar' })).toBe(400)
  expect(await status({ path: tree, format: 'tar', prefix: '../x' })).toBe(400)
  expect(await status({ path: tree, format: 'tar', prefix: '/x' })).toBe(400)
  expect(await status({ path: join(tree, 'nothing'), format: 'tar' })).toBe(400)
  expect(await status({ path: join(tree, 'missing'), format: 'tar' })).toBe(404)
  const file = await files.get({ path: join(tree, 'a/deep/small') }, { accept: 'application/x-tar' })
  expect([file.status, file.text]).toEqual([200, 'small'])
})

test('what is no file, directory or link is left out and named in the trailer', async () => {
  await using files = await startFilesFront()
  const tree = await makeTree(files)
  execFileSync('mkfifo', [join(tree, 'a/pipe')])
  const trailers = await new Promise((resolve, reject) => {
    get(`${files.front.url}/files?path=${tree}&format=tar`, (response) => {
      response
        .resume()
        .on('end', () => resolve(response.trailers))
        .on('error', reject)
    }).on('error', reject)
  })
  expect(trailers).toEqual({ 'x-left-out': '1; a/pipe' })
})

test('a client that leaves ends the work: no descriptor of the tree stays open', async () => {
  await using files = await startFilesFront()
  const tree = await makeTree(files)
  await writeFile(join(tree, 'huge'), '')
  execFileSync('truncate', ['-s', '2G', join(tree, 'huge')])
  for (let round = 0; round < 6; round++) {
    await new Promise<void>((resolve, reject) => {
      const request = get(
        `${files.front.url}/files?path=${tree}&format=${round % 2 ? 'tar' : 'tar.gz'}`,
        (response) => {
          response
            .on('error', () => {})
            .once('data', () => {
              request.destroy()
              resolve()
            })
        },
      )
      request.on('error', reject)
    }).catch(() => {})
    await expect.poll(() => openBelow(tree)).toEqual([])
  }
})

async function openBelow(dir: string): Promise<string[]> {
  const numbers = await readdir('/proc/self/fd')
  const links = await Promise.all(numbers.map((number) => readlink(`/proc/self/fd/${number}`).catch(() => '')))
  return links.filter((link) => link.startsWith(dir))
}

test.each(['--http1.1', '--http2-prior-knowledge'])(
  'clients that leave in the middle of a large file (%s) make room for others',
  async (version) => {
    await using files = await startFilesFront()
    const tree = join(files.dir, 'tree')
    await mkdir(tree)
    const content = Buffer.alloc(30_000_000, 'content of a large file ')
    await writeFile(join(tree, 'large'), content)
    const url = `${files.front.url}/files?path=${tree}&format=tar`
    // More than four at once are refused.
    for (let round = 0; round < 6; round++) {
      const client = spawn('curl', ['-sN', version, url], { stdio: ['ignore', 'pipe', 'ignore'] })
      await once(client.stdout, 'readable')
      client.kill('SIGKILL')
      await once(client, 'close')
      await expect.poll(() => openFilesBelow(files.dir)).toBe(0)
    }
    const { stdout } = await execFileAsync('curl', ['-s', version, url], { maxBuffer: 1e8, encoding: 'buffer' })
    expect(stdout.subarray(-content.length - 2048).includes(content)).toBe(true)
  },
)

test('directories that are swapped for links meanwhile lead nowhere else', async () => {
  await using files = await startFilesFront()
  const tree = join(files.dir, 'tree')
  const secret = join(files.dir, 'secret')
  await mkdir(secret)
  await writeFile(join(secret, 'f'), 'the secret')
  for (let count = 0; count < 200; count++) {
    await mkdir(join(tree, `d${count}`), { recursive: true })
    await writeFile(join(tree, `d${count}/f`), 'harmless')
  }
  const swap = `cd "$1"; while :; do for d in d*; do mv "$d" .x && ln -s "$2" "$d" && rm "$d" && mv .x "$d"; done; done`
  const swapper = spawn('sh', ['-c', swap, 'sh', tree, secret], { stdio: 'ignore' })
  try {
    for (let round = 0; round < 30; round++) {
      const { status, body } = await files.get({ path: tree, format: 'tar' })
      expect(status).toBe(200)
      expect(body.includes('the secret')).toBe(false)
    }
  } finally {
    swapper.kill('SIGKILL')
    await new Promise((resolve) => swapper.once('exit', resolve))
  }
})

test('20,000 files arrive whole', async () => {
  await using files = await startFilesFront()
  const tree = join(files.dir, 'tree')
  for (let dir = 0; dir < 100; dir++) {
    mkdirSync(join(tree, `d${dir}`), { recursive: true })
    for (let file = 0; file < 200; file++) writeFileSync(join(tree, `d${dir}/f${file}`), `${dir}/${file}`)
  }
  const { body } = await files.get({ path: tree, format: 'tar' })
  const out = join(files.dir, 'out')
  unpack('tar', ['-xf', '-'], body, out)
  const sum = (dir: string) =>
    createHash('sha256')
      .update(execFileSync('sh', ['-c', 'cd "$1" && find . -type f | sort | xargs cat', 'sh', dir], { maxBuffer: 1e8 }))
      .digest('hex')
  expect(sum(out)).toBe(sum(tree))
  expect(execFileSync('sh', ['-c', 'find "$1" -type f | wc -l', 'sh', out], { encoding: 'utf8' }).trim()).toBe('20000')
}, 60_000)
