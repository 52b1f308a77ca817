import { execFileSync } from 'node:child_process'
import { chmod, chown, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { FindItem } from '../../src/files/find.ts'
import type { GrepItem } from '../../src/files/grep.ts'
import { needsRoot } from '../_util/namespace.ts'
import { refusal } from '../filesystem/files.ts'
import { type Served, serveFiles } from './served.ts'

type GrepRequest = Parameters<Served['grep']>[0]

async function grep(files: Served, request: GrepRequest): Promise<readonly GrepItem[]> {
  const items: GrepItem[] = []
  for await (const some of files.grep(request)) items.push(...some)
  return items
}

async function find(files: Served, request: Parameters<Served['find']>[0]): Promise<readonly FindItem[]> {
  const items: FindItem[] = []
  for await (const some of files.find(request)) items.push(...some)
  return items
}

const below = ({ home }: Served, items: readonly (GrepItem | FindItem)[], kind: 'file' | 'match') =>
  items.flatMap((item) => (item.kind === kind ? [item.path.subarray(home.length + 1).toString('latin1')] : [])).sort()

test.each([
  ['a backreference', '(a)\\1', /backreference/],
  ['a lookahead', 'a(?=b)', /look-around/],
  ['an open bracket', '[a', /unclosed character class/],
  ['an open group', '(', /unclosed group/],
  ['a wrong repetition', 'a{2,1}', /repetition/],
  ['an unknown class', '\\p{Nonsense}', /[Uu]nicode property/],
  ['a line feed without multiline', 'a\\nb', /\\n/],
  ['an automaton that is too large', '(\\w{1000}){1000}', /size limit|too big/],
  ['nothing', '', /must not be empty/],
])('a pattern with %s is refused with its reason', async (_, pattern, message) => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), 'aa\n')
  await expect(grep(files, { pattern })).rejects.toEqual(refusal('invalid_argument', message))
  expect(files.searches.pids()).toEqual([])
  expect(files.budget.usage().edit).toBe(0)
})

test('patterns and globs that look like options are neither', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, '-e'), '--pre=sh\n')
  await writeFile(join(files.home, 'f'), '--files\n')
  expect(below(files, await grep(files, { pattern: '--files' }), 'match')).toEqual(['f'])
  expect(below(files, await grep(files, { pattern: '--pre', fixed: true }), 'match')).toEqual(['-e'])
  expect(below(files, await grep(files, { pattern: '.', path: '-e' }), 'match')).toEqual(['-e'])
  expect(below(files, await find(files, { scope: { globs: ['--pre=sh', '-*'] } }), 'file')).toEqual(['-e'])
  await expect(find(files, { scope: { globs: ['[a'] } })).rejects.toEqual(refusal('invalid_argument', /glob/))
})

test('names with line feeds, quotes, colons and bytes that are not UTF-8 are what they are', async () => {
  await using files = await serveFiles()
  const names = ['line\nfeed', '"quoted":1:x', 'ü\u2028', '\\x00', ' ']
  for (const name of names) await writeFile(join(files.home, name), 'needle\n')
  const raw = Buffer.concat([Buffer.from(`${files.home}/`), Buffer.from([0xff, 0x0a, 0xfe])])
  await writeFile(raw, 'needle\n')
  const all = [...names.map((name) => Buffer.from(name).toString('latin1')), '\xff\n\xfe'].sort()
  expect(below(files, await grep(files, { pattern: 'needle' }), 'match')).toEqual(all)
  expect(below(files, await grep(files, { pattern: 'needle', count: true }), 'file')).toEqual(all)
  expect(below(files, await find(files, {}), 'file')).toEqual(all)
})

test('one line of 15 MiB is cut, and its matches at the end are counted', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), `${'x'.repeat(15 * 1024 * 1024)}needle`)
  const items = await grep(files, { pattern: 'needle', maxLineBytes: 100 })
  const match = items.find((item) => item.kind === 'match')
  expect(match).toMatchObject({ number: 1, cut: true, matches: [] })
  expect(match?.kind === 'match' && match.text.length).toBe(100)
  expect(items.at(-1)).toMatchObject({ lines: 1, files: 1, truncated: false, unreadable: false })
})

test('links that lead in circles, to nowhere and out are not followed', async () => {
  await using files = await serveFiles()
  const { home, people } = files
  await mkdir(join(home, 'a/b'), { recursive: true })
  await writeFile(join(people.dir, 'outside'), 'needle\n')
  await writeFile(join(home, 'a/b/f'), 'needle\n')
  for (const [target, name] of [
    ['..', 'a/b/up'],
    ['self', 'a/self'],
    ['none', 'a/none'],
    [people.dir, 'a/out'],
    [join(people.dir, 'outside'), 'a/file'],
  ] as const)
    await symlink(target, join(home, name))
  const items = await grep(files, { pattern: 'needle' })
  expect(below(files, items, 'match')).toEqual(['a/b/f'])
  expect(items.at(-1)).toMatchObject({ unreadable: false })
  expect(below(files, await find(files, {}), 'file')).toEqual(['a/b/f'])
})

test('what the user may not read is not found, and the summary says so', async (context) => {
  needsRoot(context)
  await using files = await serveFiles()
  const { home, people } = files
  await mkdir(join(home, 'closed'))
  for (const name of ['open', 'closed/f', 'secret']) await writeFile(join(home, name), 'needle\n')
  for (const name of ['closed', 'secret']) await chmod(join(home, name), 0o700)
  await chown(join(home, 'open'), people.ann.uid, people.ann.gid)
  const items = await grep(files, { pattern: 'needle' })
  expect(below(files, items, 'match')).toEqual(['open'])
  expect(items.at(-1)).toMatchObject({ kind: 'summary', lines: 1, unreadable: true })
  const found = await find(files, {})
  expect(below(files, found, 'file')).toEqual(['open', 'secret'])
  expect(found.at(-1)).toMatchObject({ files: 2, unreadable: true })
  expect((await grep(files, { pattern: 'nothing there' })).at(-1)).toMatchObject({ lines: 0, unreadable: true })
  expect((await find(files, { path: 'closed/..', scope: { globs: ['open'] } })).at(-1)).toMatchObject({ files: 1 })
})

test('a tree that changes while it is searched does no harm', async () => {
  await using files = await serveFiles()
  const { home } = files
  execFileSync('sh', [
    '-c',
    `cd ${home} && for d in $(seq 50); do mkdir $d; for f in $(seq 40); do echo needle >$d/$f; done; done`,
  ])
  const removing = execFileSync.bind(undefined, 'rm', [
    '-rf',
    ...Array.from({ length: 25 }, (_, n) => join(home, `${n + 1}`)),
  ])
  const search = files.grep({ pattern: 'needle', limit: 10_000 })
  await search.next()
  removing()
  let last: GrepItem | undefined
  for await (const items of search) last = items.at(-1)
  expect(last).toMatchObject({ kind: 'summary', truncated: false })
})
