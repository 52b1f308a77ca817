import { execFileSync } from 'node:child_process'
import { linkSync } from 'node:fs'
import { mkdir, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../../src/budget/budget.ts'
import { needsNamespace } from '../../_util/namespace.ts'
import { tarOf } from '../../archives/make-tar.ts'
import { type FilesFront, startFilesFront } from '../files-front.ts'
import { isThere, unpack } from '../unpacked.ts'

const TAR = { 'content-type': 'application/x-tar' }

function namesOf(archive: Uint8Array): string[] {
  return execFileSync('tar', ['-tf', '-'], { input: archive, encoding: 'utf8' }).trim().split('\n')
}

test('strip= takes components off the names, and leaves out what has no more', async () => {
  await using files = await startFilesFront()
  const tree = join(files.dir, 'tree')
  await mkdir(join(tree, 'a/b/c'), { recursive: true })
  for (const name of ['top', 'a/one', 'a/b/two', 'a/b/c/three']) await writeFile(join(tree, name), name)
  await writeFile(join(tree, 'a/b/large'), Buffer.alloc(100_000, 'l'))
  linkSync(join(tree, 'top'), join(tree, 'a/b/twin'))
  linkSync(join(tree, 'top'), join(tree, 'a/b/twin2'))
  execFileSync('mkfifo', [join(tree, 'pipe')])
  const get = (strip: string, more = {}) => files.get({ path: tree, format: 'tar', strip, ...more })
  expect(namesOf((await get('1')).body)).toEqual(
    ['one', 'b/', 'b/large', 'b/twin', 'b/twin2', 'b/two', 'b/c/', 'b/c/three'].toSorted(byTree),
  )
  expect(namesOf((await get('2', { prefix: 'p/' })).body).toSorted()).toEqual(
    ['p/c/', 'p/c/three', 'p/large', 'p/twin', 'p/twin2', 'p/two'].toSorted(),
  )
  expect(namesOf((await get('2', { exclude: 'c/,twin*' })).body)).toEqual(['large', 'two'])
  expect((await get('9')).body.equals(Buffer.alloc(1024))).toBe(true)
  expect((await get('0')).body.equals((await files.get({ path: tree, format: 'tar' })).body)).toBe(true)
  for (const wrong of ['-1', 'x', '1000', '']) expect((await get(wrong)).status).toBe(400)
  // The first name that comes has the content.
  const out = join(files.dir, 'out')
  unpack('tar', ['-xf', '-'], (await get('2')).body, out)
  expect(execFileSync('cat', ['twin', 'twin2'], { cwd: out, encoding: 'utf8' })).toBe('toptop')
  const stripped = await files.post(
    { path: join(files.dir, 'back'), strip: '2' },
    (await get('0', { exclude: 'twin*' })).body,
    TAR,
  )
  expect(JSON.parse(stripped.text)[0].entries).toBeGreaterThan(0)
})

/** Names of a directory first, then what is in its directories. */
function byTree(a: string, b: string): number {
  const depth = (name: string) => name.replace(/\/$/, '').split('/').length
  return depth(a) - depth(b) || (a < b ? -1 : 1)
}

test('times=s has whole seconds, without a header for them', async () => {
  await using files = await startFilesFront()
  const tree = join(files.dir, 'tree')
  await mkdir(join(tree, 'd'), { recursive: true })
  for (const [name, size] of [
    ['small', 10],
    ['d/large', 100_000],
  ] as const) {
    await writeFile(join(tree, name), Buffer.alloc(size, 'x'))
    await utimes(join(tree, name), 1, 1_600_000_000.25)
  }
  const get = (more = {}) => files.get({ path: tree, format: 'tar', ...more })
  const [whole, fine] = [(await get({ times: 's' })).body, (await get()).body]
  expect(whole.includes('PaxHeader')).toBe(false)
  expect(whole.length).toBe(fine.length - 3 * 1024)
  for (const [archive, milliseconds] of [
    [whole, 1_600_000_000_000],
    [fine, 1_600_000_000_250],
  ] as const) {
    const out = join(files.dir, `out-${milliseconds}`)
    expect((await files.post({ path: out }, archive, TAR)).status).toBe(200)
    for (const name of ['small', 'd/large']) expect((await stat(join(out, name))).mtimeMs).toBe(milliseconds)
  }
  expect((await get({ times: 'ns' })).body.equals(fine)).toBe(true)
  expect((await get({ times: 'ms' })).status).toBe(400)
})

const PYTHON = `import os, sys
def shown(path):
    return {name: os.getxattr(path, name).hex() for name in sorted(os.listxattr(path)) if name.startswith(('user.', 'security.cap'))}
for path in sys.argv[1:]: print(shown(path))`

function attributesOf(...paths: string[]): string[] {
  return execFileSync('python3', ['-c', PYTHON, ...paths], { encoding: 'utf8' })
    .trim()
    .split('\n')
}

function setAttribute(path: string, name: string, value: Buffer): void {
  const script = 'import os, sys; os.setxattr(sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3]))'
  execFileSync('python3', ['-c', script, path, name, value.toString('hex')])
}

/** cap_net_raw+ep of a file, second version (linux/capability.h). */
const NET_RAW = Buffer.from('0100000200200000000000000000000000000000', 'hex')

async function treeWithAttributes(files: FilesFront): Promise<string> {
  const tree = join(files.dir, 'tree')
  await mkdir(join(tree, 'd'), { recursive: true })
  await writeFile(join(tree, 'small'), 'x')
  await writeFile(join(tree, 'large'), Buffer.alloc(100_000))
  for (const name of ['d', 'small', 'large']) {
    setAttribute(join(tree, name), 'user.e2b.key', Buffer.from('ours'))
    setAttribute(join(tree, name), 'user.other', Buffer.from([0, 1, 0x0a, 0xff]))
    setAttribute(join(tree, name), 'user.a=b%3D', Buffer.alloc(0))
  }
  return tree
}

const PLACES = ['d', 'small', 'large']

test('attributes of users go both ways, also to and from GNU tar; capabilities come back only with owner=archive', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const tree = await treeWithAttributes(files)
  const before = attributesOf(...PLACES.map((name) => join(tree, name)))
  expect(before[1]).toContain('user.a=b%3D')
  const plain = (await files.get({ path: tree, format: 'tar' })).body
  setAttribute(join(tree, 'small'), 'security.capability', NET_RAW)
  const capable = attributesOf(join(tree, 'small'))
  const archive = (await files.get({ path: tree, format: 'tar' })).body
  const at = (dir: string, names = PLACES) => attributesOf(...names.map((name) => join(files.dir, dir, name)))
  expect((await files.post({ path: join(files.dir, 'user') }, archive, TAR)).status).toBe(200)
  expect(at('user')).toEqual(before)
  const asRoot = { path: join(files.dir, 'root'), username: 'root', owner: 'archive' }
  expect((await files.post(asRoot, archive, TAR)).status).toBe(200)
  expect(at('root')).toEqual([before[0], capable[0], before[2]])
  const packed = execFileSync('tar', ['--xattrs', '--format=pax', '-cf', '-', '-C', tree, '.'])
  expect((await files.post({ path: join(files.dir, 'from-gnu') }, packed, TAR)).status).toBe(200)
  expect(at('from-gnu')).toEqual(before)
  unpack('tar', ['--xattrs', '-xf', '-'], plain, join(files.dir, 'by-gnu'))
  expect(at('by-gnu')).toEqual(before)
  if (isThere('bsdtar')) unpack('bsdtar', ['-xf', '-'], plain, join(files.dir, 'by-bsd'))
})

test('attributes that an archive does not take are named, and those that there cannot be are refused', async (context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const send = async (pax: Record<string, string | Buffer>, query = {}) =>
    (await files.post({ path: join(files.dir, 'out'), ...query }, tarOf({ name: 'x', content: 'x', pax }), TAR)).status
  const key = (name: string) => `SCHILY.xattr.${name}`
  expect(await send({ [key('user.big')]: Buffer.alloc(66_000) })).toBe(400)
  expect(await send({ [key('user.a')]: Buffer.alloc(40_000), [key('user.b')]: Buffer.alloc(40_000) })).toBe(400)
  expect(await send({ [key(`user.${'n'.repeat(251)}`)]: 'x' })).toBe(400)
  expect(await send({ [key('user.')]: 'x' })).toBe(400)
  expect(await send({ [key('user.e2b.key')]: 'not \x01 printable' })).toBe(400)
  expect(await send({ [key('security.capability')]: 'no capability' }, { username: 'root', owner: 'archive' })).toBe(
    400,
  )
  expect(execFileSync('ls', ['-A', join(files.dir, 'out')], { encoding: 'utf8' })).toBe('')
  // Whatever else there is does not count.
  for (const name of ['trusted.x', 'security.selinux', 'system.posix_acl_access', 'security.capability'])
    expect(await send({ [key(name)]: 'anything' })).toBe(200)
  expect(attributesOf(join(files.dir, 'out/x'))).toEqual(['{}'])
  const tree = await treeWithAttributes(files)
  for (const name of ['user.one', 'user.two']) setAttribute(join(tree, 'small'), name, Buffer.alloc(40_000))
  const { body } = await files.get({ path: tree, format: 'tar' })
  expect(namesOf(body)).toContain('small')
  expect(JSON.stringify(files.logged)).toContain('small')
})

test('attributes of directories, which wait for the end of the archive, count in the byte budget', async () => {
  await using files = await startFilesFront({ budget: createByteBudget(32 * 1024 * 1024) })
  const pax = { 'SCHILY.xattr.user.x': Buffer.alloc(4000, 'x') }
  const archive = tarOf(...Array.from({ length: 10_000 }, (_, index) => ({ name: `d${index}`, type: '5', pax })))
  const answer = await files.post({ path: join(files.dir, 'out') }, archive, TAR)
  expect([answer.status, answer.text]).toEqual([503, expect.stringContaining('"message"')])
})
