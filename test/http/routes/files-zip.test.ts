import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { needsNamespace } from '../../_util/namespace.ts'
import { type FilesFront, startFilesFront } from '../files-front.ts'

/** A tree with one of everything that zip archives hold. */
async function makeTree(files: FilesFront): Promise<string> {
  const tree = join(files.dir, 'tree')
  await mkdir(join(tree, 'a/deep'), { recursive: true })
  await mkdir(join(tree, 'empty'))
  await writeFile(join(tree, 'a/deep/small'), 'small '.repeat(50))
  await writeFile(join(tree, 'a/large'), Buffer.alloc(1_000_003, 'large '))
  await writeFile(join(tree, 'random'), execFileSync('head', ['-c', '100000', '/dev/urandom']))
  await writeFile(join(tree, 'nothing'), '')
  await writeFile(join(tree, 'ü日本'), 'name')
  writeFileSync(Buffer.from(`${tree}/not-utf8-\xff`, 'latin1'), 'bytes')
  linkSync(join(tree, 'a/large'), join(tree, 'z-hard'))
  symlinkSync('../nowhere', join(tree, 'a/link'))
  await chmod(join(tree, 'nothing'), 0o711)
  await utimes(join(tree, 'nothing'), 1, 1_234_567_891)
  return tree
}

/** What is below a directory: names, kinds, modes, owners, times and contents. */
function listing(dir: string): string {
  const script = `cd "$1" &&
    find . -mindepth 1 -type d -printf '%P %y %m %U:%G\\n' -o -type l -printf '%P %y %U:%G %l\\n' \\
      -o -printf '%P %y %m %U:%G %s %TY-%Tm-%TdT%TH:%TM\\n' | sort
    find . -type f -print0 | sort -z | xargs -0r sha256sum`
  return execFileSync('sh', ['-c', script, 'sh', dir], { encoding: 'latin1', env: { ...process.env, LC_ALL: 'C' } })
}

async function zipOf(files: FilesFront, tree: string): Promise<string> {
  const { status, headers, body } = await files.get({ path: tree, format: 'zip' })
  expect(status).toBe(200)
  expect(headers).toMatchObject({
    'content-type': 'application/zip',
    'content-disposition': 'attachment; filename=tree.zip',
  })
  const archive = join(files.dir, 'tree.zip')
  await writeFile(archive, body)
  return archive
}

test.for([
  ['unzip', ['-q', '-X', 'ARCHIVE']],
  ['bsdtar', ['-xpf', 'ARCHIVE', '--same-owner']],
] as const)('a directory comes as a zip archive that %s unpacks to the same tree', async ([command, args], context) => {
  needsNamespace(context)
  await using files = await startFilesFront()
  const tree = await makeTree(files)
  // unzip 6.0 leaves out the bytes that its locale does not know.
  if (command === 'unzip') await rm(Buffer.from(`${tree}/not-utf8-\xff`, 'latin1'))
  await chown(join(tree, 'a/deep/small'), 12345, 3_000_000)
  const archive = await zipOf(files, tree)
  const out = join(files.dir, 'out')
  mkdirSync(out)
  const env = { ...process.env, LC_ALL: 'C.UTF-8', TZ: 'UTC' }
  execFileSync(
    command,
    args.map((word) => word.replace('ARCHIVE', archive)),
    { cwd: out, env },
  )
  expect(listing(out)).toBe(listing(tree))
})

test("zip and Python's zipfile find nothing wrong, and the content is the same each time", async () => {
  await using files = await startFilesFront()
  const tree = await makeTree(files)
  const archive = await zipOf(files, tree)
  execFileSync('zip', ['-T', archive])
  const script = `import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z:
    assert z.testzip() is None
    print(len(z.infolist()), z.read('a/large') == z.read('z-hard'), z.read('a/link').decode())`
  expect(execFileSync('python3', ['-c', script, archive], { encoding: 'utf8' }).trim()).toBe('11 True ../nowhere')
  const first = await readFile(archive)
  expect(first.equals(await readFile(await zipOf(files, tree)))).toBe(true)
})

test('exclude= and prefix= work as for tar', async () => {
  await using files = await startFilesFront()
  const tree = await makeTree(files)
  const { body } = await files.get({ path: tree, format: 'zip', exclude: 'a,*8-*', prefix: 'p' })
  const archive = join(files.dir, 'tree.zip')
  await writeFile(archive, body)
  const names = execFileSync('unzip', ['-Z1', archive], { encoding: 'utf8' }).trim().split('\n').sort()
  expect(names).toEqual(['p/empty/', 'p/nothing', 'p/random', 'p/z-hard', 'p/ü日本'])
})

test('a file of more than 4 GiB has fields of 8 bytes', { timeout: 120_000 }, async (context) => {
  // It takes half a minute.
  if (process.env['ENVD_ZIP64'] === undefined) context.skip('ENVD_ZIP64 is not set')
  await using files = await startFilesFront()
  const tree = join(files.dir, 'tree')
  await mkdir(tree)
  execFileSync('truncate', ['-s', '4300000000', join(tree, 'big')])
  await writeFile(join(tree, 'z'), 'behind')
  const archive = await zipOf(files, tree)
  const list = execFileSync('unzip', ['-Zv', archive, 'big'], { encoding: 'utf8' })
  expect(list).toMatch(/uncompressed size: +4300000000 bytes/)
  expect(execFileSync('unzip', ['-p', archive, 'z'], { encoding: 'utf8' })).toBe('behind')
})
