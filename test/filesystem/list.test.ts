import { execFileSync } from 'node:child_process'
import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createByteBudget } from '../../src/budget/budget.ts'
import { listDirectory } from '../../src/filesystem/list.ts'
import { NEVER } from '../../src/lib/never.ts'
import { collected } from '../_util/collected.ts'
import { inNamespace } from '../_util/namespace.ts'
import { refusal, startFiles } from './files.ts'

async function withTree(paths: readonly string[]) {
  const files = await startFiles()
  const dir = join(files.dir, 'list')
  await mkdir(dir)
  for (const path of paths) {
    await mkdir(join(dir, path, '..'), { recursive: true })
    if (path.endsWith('/')) await mkdir(join(dir, path))
    else await writeFile(join(dir, path), '')
  }
  const names = async (path: string, depth?: number) =>
    (await files.list(path, depth)).map((entry) => entry.path.replace(`${dir}/`, ''))
  return { ...files, dir, names }
}

const TREE = ['b', 'a/1', 'a/2/x', 'a/2/y/z', 'ab', 'B', '.hid']

test('C21 the depth is the number of levels, and 0 means 1', async () => {
  await using files = await withTree(TREE)
  const first = ['.hid', 'B', 'a', 'ab', 'b']
  expect(await files.names(files.dir, 0)).toEqual(first)
  expect(await files.names(files.dir, 1)).toEqual(first)
  expect(await files.names(files.dir, 2)).toEqual(['.hid', 'B', 'a', 'a/1', 'a/2', 'ab', 'b'])
  const all = ['.hid', 'B', 'a', 'a/1', 'a/2', 'a/2/x', 'a/2/y', 'a/2/y/z', 'ab', 'b']
  expect(await files.names(files.dir, 4)).toEqual(all)
  expect(await files.names(files.dir, 4_294_967_295)).toEqual(all)
})

test('C22 entries come depth first and in byte order, hidden ones included, the root left out', async () => {
  await using files = await withTree(['é', 'z', 'Z', '~', '10', '9', 'a b', 'a/x', '.h'])
  expect(await files.names(files.dir, 2)).toEqual(['.h', '10', '9', 'Z', 'a', 'a/x', 'a b', 'z', '~', 'é'])
})

test('C23 a link to a directory is listed under its own name, nested links are not entered', async () => {
  await using files = await withTree(['d/f', 'd/sub/g'])
  await symlink('d', join(files.dir, 'link'))
  await symlink('sub', join(files.dir, 'd/nested'))
  expect(await files.names(join(files.dir, 'link'), 3)).toEqual(['link/f', 'link/nested', 'link/sub', 'link/sub/g'])
  expect(await files.names(`${files.dir}/./d/../link//`)).toEqual(['link/f', 'link/nested', 'link/sub'])
})

test('C24 what cannot be listed says why', async () => {
  await using files = await withTree(['f'])
  const at = (name: string) => join(files.dir, name)
  await symlink('nowhere', at('broken'))
  await symlink('loop', at('loop'))
  await symlink('f', at('to-file'))
  await expect(files.list(at('no'))).rejects.toEqual(
    refusal('not_found', `path not found: lstat ${at('no')}: no such file or directory`),
  )
  await expect(files.list(at('broken'))).rejects.toEqual(refusal('not_found', /^path not found: lstat /))
  await expect(files.list(at('loop'))).rejects.toEqual(
    refusal('failed_precondition', `cyclic symlink or chain >255 links at "${at('loop')}"`),
  )
  await expect(files.list(at('to-file'))).rejects.toEqual(
    refusal('invalid_argument', `path is not a directory: ${at('f')}`),
  )
  await expect(files.list(at('f/x'))).rejects.toEqual(
    refusal('internal', /^error resolving symlink: lstat .*: not a directory$/),
  )
})

test('C25 a name that is not UTF-8 is shown with a replacement, the others as they are', async () => {
  await using files = await withTree(['a', 'z'])
  await mkdir(Buffer.concat([Buffer.from(`${files.dir}/`), Buffer.from([0x6d, 0xff])]))
  await writeFile(Buffer.concat([Buffer.from(`${files.dir}/`), Buffer.from([0x6d, 0xff]), Buffer.from('/in')]), '')
  expect(await files.names(files.dir, 2)).toEqual(['a', 'm\ufffd', 'm\ufffd/in', 'z'])
})

test('C25 directories that vanish in a listing fail nothing', async () => {
  await using files = await withTree(Array.from({ length: 300 }, (_, i) => `d${i}/f`))
  const listing = Promise.all(Array.from({ length: 5 }, () => files.list(files.dir, 3)))
  await rm(files.dir, { recursive: true, force: true })
  const results = await Promise.allSettled([listing])
  for (const result of results) {
    if (result.status === 'rejected') expect(result.reason).toEqual(refusal('not_found', /^path not found/))
  }
})

test('C25 a directory that cannot be read is listed without contents', async (context) => {
  if (!inNamespace && process.getuid?.() !== 0) {
    await using files = await withTree(['closed/f', 'open/f'])
    await chmod(join(files.dir, 'closed'), 0)
    expect(await files.names(files.dir, 2)).toEqual(['closed', 'open', 'open/f'])
    await chmod(join(files.dir, 'closed'), 0o755)
  } else context.skip('root may read every directory')
})

test('C25 names that do not fit in the budget are refused, and everything is given back', async () => {
  await using files = await withTree([])
  execFileSync('sh', ['-c', 'cd "$1" && seq -w 10000 | xargs touch', 'sh', files.dir])
  const budget = createByteBudget(1024 * 1024)
  const list = async (most: number) => {
    const hold = budget.hold('listing', { connection: undefined, user: undefined })
    if (most > 0) hold.grow(budget.total - most)
    const options = {
      path: files.dir,
      depth: 2,
      users: files.people.users,
      actor: files.people.ann,
      signal: NEVER,
    }
    try {
      return (await collected(listDirectory({ ...options, hold }))).flat().length
    } finally {
      hold.release()
    }
  }
  expect(await list(0)).toBe(10_000)
  await expect(list(200_000)).rejects.toEqual(refusal('budget_spent', /^the memory for waiting data/))
  expect(budget.usage().listing).toBe(0)
})

test('C22 a listing holds names only while it is under way', async () => {
  await using files = await withTree(['a/1', 'a/2/x', 'b'])
  const hold = createByteBudget(1024 * 1024).hold('listing', { connection: undefined, user: undefined })
  const options = {
    path: files.dir,
    depth: 9,
    users: files.people.users,
    actor: files.people.ann,
    signal: NEVER,
    hold,
  }
  expect((await collected(listDirectory(options))).flat().map(({ name }) => name)).toEqual(['a', '1', '2', 'x', 'b'])
  expect(hold.bytes).toBe(0)
})

test('C21 ten thousand entries are listed while other work goes on', async () => {
  await using files = await withTree([])
  execFileSync('sh', ['-c', 'cd "$1" && seq 10000 | xargs touch', 'sh', files.dir])
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  expect(await files.list(files.dir)).toHaveLength(10_000)
  clearInterval(timer)
  expect(turns).toBeGreaterThan(3)
})

test('C21 a listing whose client has left stops', async () => {
  await using files = await withTree(['a/b/c'])
  const gone = new AbortController()
  gone.abort(new Error('gone'))
  await expect(files.list(files.dir, 9, gone.signal)).rejects.toThrow('gone')
})
