import { execFileSync } from 'node:child_process'
import { mkdir, symlink, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { refusal } from '../filesystem/files.ts'
import { type Served, serveFiles } from './served.ts'

type FindRequest = Parameters<Served['find']>[0]

/** Paths below the home, sorted, and the summary. */
async function find(files: Served, request: FindRequest) {
  const paths: string[] = []
  let summary: unknown
  for await (const items of files.find(request))
    for (const item of items) {
      if (item.kind === 'file') paths.push(item.path.toString().slice(files.home.length + 1))
      if (item.kind === 'summary') summary = { files: item.files, truncated: item.truncated }
    }
  expect(files.budget.usage().edit).toBe(0)
  return { paths: paths.sort(), summary }
}

async function tree({ home }: Served): Promise<void> {
  await mkdir(join(home, 'src/deep'), { recursive: true })
  for (const name of ['src/a.ts', 'src/deep/b.ts', 'x.log', '.dot']) await writeFile(join(home, name), name)
  await writeFile(join(home, '.gitignore'), '*.log\n')
  await truncate(join(home, 'src/a.ts'), 5_000)
  await utimes(join(home, 'x.log'), 1_000, 1_000)
  await symlink('src', join(home, 'link'))
  execFileSync('mkfifo', [join(home, 'pipe')])
}

test.each<[string, FindRequest, string[]]>([
  ['nothing', {}, ['src/a.ts', 'src/deep/b.ts', 'x.log']],
  ['a glob', { scope: { globs: ['*.ts'] } }, ['src/a.ts', 'src/deep/b.ts']],
  ['what is left out', { scope: { globs: ['!src'] } }, ['x.log']],
  ['hidden files', { scope: { hidden: true, depth: 1 } }, ['.dot', '.gitignore', 'x.log']],
  ['.gitignore', { scope: { gitignore: true } }, ['src/a.ts', 'src/deep/b.ts']],
  ['a path', { path: 'src/deep' }, ['src/deep/b.ts']],
  ['a size', { minSize: 5_000n }, ['src/a.ts']],
  ['a largest size', { maxSize: 4_999n }, ['src/deep/b.ts', 'x.log']],
  ['a time before', { modifiedBefore: { seconds: 1_001n, nanos: 0 } }, ['x.log']],
  ['a time after', { modifiedAfter: { seconds: 1_001n, nanos: 0 } }, ['src/a.ts', 'src/deep/b.ts']],
])('files are found by %s', async (_, request, paths) => {
  await using files = await serveFiles()
  await tree(files)
  const found = await find(files, request)
  expect(found.paths).toEqual(paths)
  expect(found.summary).toEqual({ files: paths.length, truncated: false })
})

test('the limit holds, and says that there is more', async () => {
  await using files = await serveFiles()
  await tree(files)
  expect((await find(files, { limit: 2 })).summary).toEqual({ files: 2, truncated: true })
  expect((await find(files, { limit: 3 })).summary).toEqual({ files: 3, truncated: false })
  await expect(find(files, { limit: 100_001 })).rejects.toEqual(refusal('invalid_argument', /limit/))
  await expect(find(files, { path: 'x.log' })).rejects.toEqual(refusal('invalid_argument', /not a directory/))
  await expect.poll(() => files.searches.pids()).toEqual([])
})

test('many files are found, and a keepalive comes while there are none', async () => {
  await using files = await serveFiles()
  for (let at = 0; at < 100; at++) {
    await mkdir(join(files.home, `d${at}`))
    execFileSync('sh', ['-c', 'cd "$0" && seq -f f%g 100 | xargs touch', join(files.home, `d${at}`)])
  }
  expect((await find(files, { limit: 100_000 })).summary).toEqual({ files: 10_000, truncated: false })
  const kinds: string[] = []
  for await (const items of files.find({ scope: { globs: ['none'] } }, { keepalive: 1 }))
    kinds.push(...items.map(({ kind }) => kind))
  expect(kinds.at(-1)).toBe('summary')
})
