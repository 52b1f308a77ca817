import { execFileSync } from 'node:child_process'
import { linkSync, symlinkSync } from 'node:fs'
import { chmod, chown, lstat, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { needsNamespace } from '../../_util/namespace.ts'
import { tarOf } from '../../archives/make-tar.ts'
import { type FilesFront, startFilesFront } from '../files-front.ts'

const TAR = { 'content-type': 'application/x-tar' }

/** A tree with one of everything that archives hold, of the user who runs the test. */
async function makeTree(files: FilesFront): Promise<string> {
  const tree = join(files.dir, 'tree')
  await mkdir(join(tree, 'a/deep'), { recursive: true })
  await mkdir(join(tree, 'empty'), { mode: 0o500 })
  await writeFile(join(tree, 'a/deep/small'), 'small')
  await writeFile(join(tree, 'a/large'), Buffer.alloc(1_000_003, 'large '))
  await writeFile(join(tree, 'nothing'), '')
  await writeFile(join(tree, 'ü'.repeat(90)), 'long name')
  execFileSync('sh', ['-c', `touch "$(printf '%s/not-utf8-\\377' "$1")"`, 'sh', tree])
  await mkdir(join(tree, 'n'.repeat(150)))
  await writeFile(join(tree, 'n'.repeat(150), 'x'), 'x')
  linkSync(join(tree, 'a/large'), join(tree, 'z-hard'))
  symlinkSync('../nowhere', join(tree, 'a/link'))
  symlinkSync('/etc/passwd', join(tree, 'absolute'))
  symlinkSync('t'.repeat(300), join(tree, 'long-link'))
  await chmod(join(tree, 'nothing'), 0o711)
  await utimes(join(tree, 'nothing'), 1, 1_234_567_890.123)
  await chmod(join(tree, 'a'), 0o2750)
  await utimes(join(tree, 'a'), 1, 1_111_111_111)
  return tree
}

/** What is below a directory: names, kinds, modes, times to the second or better, contents, and names per file. */
function listing(dir: string, time: string): string {
  const facts = `-printf '%P %y %m %U:%G %s %l %n '`
  const script = `cd "$1" && find . -mindepth 1 ${facts} -a \\( -type d -printf '\\n' -o -printf '${time}\\n' \\) | sort
    find . -type f -print0 | sort -z | xargs -0r sha256sum`
  return execFileSync('sh', ['-c', script, 'sh', dir], { encoding: 'latin1', env: { ...process.env, LC_ALL: 'C' } })
}

const MAKERS = [
  ['tar', ['--format=pax'], '%T@'],
  ['tar', ['--format=gnu'], '%Ts'],
  ['bsdtar', ['--format=pax'], '%T@'],
  ['bsdtar', ['--format=gnutar'], '%Ts'],
] as const

for (const [command, options, time] of MAKERS) {
  test(`an archive of ${command} ${options.join(' ')} becomes the same tree, whole or replaced`, async (context) => {
    needsNamespace(context)
    if (!isThere(command)) context.skip(`${command} is not installed`)
    await using files = await startFilesFront()
    files.defaults.user = 'root'
    const tree = await makeTree(files)
    await chown(join(tree, 'a/deep/small'), 12345, 54321)
    await chmod(join(tree, 'a/deep/small'), 0o4755)
    const archive = execFileSync(command, ['-C', tree, ...options, '-cf', '-', '.'], { maxBuffer: 1e8 })
    for (const mode of ['overwrite', 'replace', 'create', 'replace']) {
      const path = join(files.dir, mode)
      const { status, text } = await files.post({ path, mode, owner: 'archive' }, archive, TAR)
      expect([status, text]).toEqual([200, expect.stringContaining('"type":"dir"')])
      expect(listing(path, time)).toBe(listing(tree, time))
      expect((await stat(join(path, 'a'))).mtimeMs).toBe(1_111_111_111_000)
    }
    expect(await temporaries(files.dir)).toEqual([])
  })
}

function isThere(command: string): boolean {
  return execFileSync('sh', ['-c', `command -v ${command} || true`], { encoding: 'utf8' }) !== ''
}

async function temporaries(dir: string): Promise<string[]> {
  return (await readdir(dir, { recursive: true })).filter((name) => name.includes('.envd-'))
}

test('what is unpacked is the user’s, without bits that let it run as another user', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const { uid } = files.people.ann
  const path = join(files.dir, 'new/project')
  const archive = tarOf(
    { name: './', type: '5', mode: 0o700 },
    { name: './run', content: 'x', mode: 0o6755, uid: 0 },
    { name: 'dir/', type: '5', mode: 0o1777 },
    { name: 'made/on/the/way', content: 'y' },
    { name: 'link', type: '2', link: 'run' },
    { name: 'twin', type: '1', link: './run' },
  )
  expect((await files.post({ path }, archive, TAR)).status).toBe(200)
  for (const name of ['.', 'run', 'dir', 'made', 'made/on/the', 'made/on/the/way', 'link'])
    expect([name, (await lstat(join(path, name))).uid]).toEqual([name, uid])
  expect((await stat(path)).mode & 0o7777).toBe(0o700)
  expect((await stat(join(path, 'run'))).mode & 0o7777).toBe(0o755)
  expect((await stat(join(path, 'dir'))).mode & 0o7777).toBe(0o777)
  expect((await stat(join(path, 'twin'))).ino).toBe((await stat(join(path, 'run'))).ino)
  expect((await files.post({ path, owner: 'archive' }, archive, TAR)).status).toBe(403)
})

test('compressed archives come by their type or by Content-Encoding', async () => {
  await using files = await startFilesFront()
  const archive = tarOf({ name: 'f', content: 'content' })
  for (const [body, headers] of [
    [gzipSync(archive), { 'content-type': 'application/gzip' }],
    [zstdCompressSync(archive), { 'content-type': 'application/zstd' }],
    [gzipSync(archive), { ...TAR, 'content-encoding': 'gzip' }],
    [zstdCompressSync(archive), { ...TAR, 'content-encoding': 'zstd' }],
  ] as const) {
    const path = join(files.dir, 'out')
    const { status, text } = await files.post({ path, mode: 'replace' }, body, headers)
    expect([status, JSON.parse(text)]).toEqual([200, [{ name: 'out', path, type: 'dir', entries: 1, bytes: 7 }]])
    expect(await readFile(join(path, 'f'), 'utf8')).toBe('content')
  }
  const encoded = { 'content-type': 'application/octet-stream', 'content-encoding': 'zstd' }
  expect((await files.post({ path: join(files.dir, 'x') }, zstdCompressSync(archive), encoded)).status).toBe(400)
})

test('what stands there is replaced and never followed, and another user’s stays theirs', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const path = join(files.dir, 'out')
  await mkdir(path)
  await writeFile(join(files.dir, 'outside'), 'untouched')
  symlinkSync('../outside', join(path, 'link'))
  linkSync(join(files.dir, 'outside'), join(path, 'twin'))
  await writeFile(join(path, 'roots'), 'old', { mode: 0o600 })
  const archive = tarOf(
    { name: 'link', content: 'new' },
    { name: 'twin', content: 'new' },
    { name: 'roots', content: 'new', mode: 0o755 },
  )
  expect((await files.post({ path }, archive, TAR)).status).toBe(200)
  expect(await readFile(join(files.dir, 'outside'), 'utf8')).toBe('untouched')
  expect((await lstat(join(path, 'link'))).isFile()).toBe(true)
  expect(await readFile(join(path, 'roots'), 'utf8')).toBe('new')
  expect((await stat(join(path, 'roots'))).uid).toBe(0)
  expect((await stat(join(path, 'twin'))).uid).toBe(0)
})

test('strip= takes components off names, and of what has no more nothing is made', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'out')
  const archive = tarOf(
    { name: 'repository-1.0/', type: '5' },
    { name: 'repository-1.0/README', content: 'read' },
    { name: 'repository-1.0/twin', type: '1', link: 'repository-1.0/README' },
    { name: 'pax_global', content: 'left out' },
  )
  expect((await files.post({ path, strip: '1' }, archive, TAR)).status).toBe(200)
  expect((await readdir(path)).sort()).toEqual(['README', 'twin'])
})

test('metadata of the archive becomes metadata of the file', async () => {
  await using files = await startFilesFront()
  const path = join(files.dir, 'out')
  const pax = {
    'SCHILY.xattr.user.e2b.origin': 'here',
    'SCHILY.xattr.security.capability': 'no',
    'SCHILY.xattr.trusted.other': 'no',
  }
  const archive = tarOf({ name: 'f', content: 'x', pax }, { name: 'large', content: Buffer.alloc(100_000), pax })
  expect((await files.post({ path }, archive, TAR)).status).toBe(200)
  for (const name of ['f', 'large']) {
    const script = 'import os, sys; print({name: os.getxattr(sys.argv[1], name) for name in os.listxattr(sys.argv[1])})'
    const attributes = execFileSync('python3', ['-c', script, join(path, name)], { encoding: 'utf8' })
    expect(attributes.trim()).toBe("{'user.e2b.origin': b'here'}")
  }
})

test('a tree that is sent and unpacked again is the same, with metadata and nanoseconds', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  files.defaults.user = 'root'
  const tree = await makeTree(files)
  await files.put(join(tree, 'told'), 'x', { 'x-metadata-origin': 'here' })
  const [one, two] = [join(files.dir, 'one'), join(files.dir, 'two')]
  const sent = await files.get({ path: tree, format: 'tar.zst' })
  const zstd = { 'content-type': 'application/zstd' }
  expect((await files.post({ path: one, owner: 'archive' }, sent.body, zstd)).status).toBe(200)
  expect(listing(one, '%T@')).toBe(listing(tree, '%T@'))
  const again = await files.get({ path: one, format: 'tar' })
  expect((await files.post({ path: two, owner: 'archive', mode: 'replace' }, again.body, TAR)).status).toBe(200)
  const last = await files.get({ path: two, format: 'tar' })
  expect(last.body.equals((await files.get({ path: tree, format: 'tar' })).body)).toBe(true)
  expect(last.body.includes('SCHILY.xattr.user.e2b.origin=here\n')).toBe(true)
})

test('files with holes keep them, in all formats of GNU tar and bsdtar', async (context) => {
  await using files = await startFilesFront()
  const tree = join(files.dir, 'tree')
  await mkdir(tree)
  const put = (name: string, mebibytes: string) =>
    `for at in ${mebibytes}; do printf piece$at | dd of=${name} bs=1M seek=$at conv=notrunc status=none; done`
  const script = `cd "$1"; truncate -s 40M holes; ${put('holes', '0 7 19 20 30 39')}; truncate -s 2M hole
    truncate -s 62M many; ${put('many', '$(seq 0 60)')}`
  execFileSync('sh', ['-c', script, 'sh', tree])
  const sum = (dir: string) => execFileSync('sh', ['-c', 'cd "$1" && sha256sum *', 'sh', dir], { encoding: 'utf8' })
  const makers: (readonly [string, readonly string[]])[] = [
    ['tar', ['--format=gnu', '-S']],
    ['tar', ['--format=pax', '--sparse-version=0.0', '-S']],
    ['tar', ['--format=pax', '--sparse-version=0.1', '-S']],
    ['tar', ['--format=pax', '--sparse-version=1.0', '-S']],
  ]
  if (isThere('bsdtar')) makers.push(['bsdtar', ['--format=pax']])
  else context.annotate('bsdtar is not installed')
  for (const [command, options] of makers) {
    const archive = execFileSync(command, ['-C', tree, ...options, '-cf', '-', '.'], { maxBuffer: 1e8 })
    expect(archive.length).toBeLessThan(8_000_000)
    const path = join(files.dir, 'out')
    const { status, text } = await files.post({ path, mode: 'replace' }, archive, TAR)
    expect([options, status, text]).toEqual([options, 200, expect.any(String)])
    expect(sum(path)).toBe(sum(tree))
    expect((await stat(join(path, 'holes'))).blocks * 512).toBeLessThan(8_000_000)
  }
}, 60_000)
