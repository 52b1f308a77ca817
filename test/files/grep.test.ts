import { execFileSync } from 'node:child_process'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Case } from '../../src/gen/files/v1/files_pb.js'
import { refusal } from '../filesystem/files.ts'
import { type Served, serveFiles } from './served.ts'

type GrepRequest = Parameters<Served['grep']>[0]

/** What a search has found: `file:number:text`, with `-` for context, sorted; and its summary. */
async function grep(files: Served, request: GrepRequest, by?: Parameters<Served['grep']>[1]) {
  const lines: string[] = []
  let summary: unknown
  for await (const items of files.grep(request, by)) {
    for (const item of items) {
      if (item.kind === 'summary') summary = { lines: item.lines, files: item.files, truncated: item.truncated }
      if (item.kind !== 'match' && item.kind !== 'context') continue
      const mark = item.kind === 'match' ? ':' : '-'
      lines.push(
        `${item.path.toString().slice(files.home.length + 1)}${mark}${item.number}${mark}${item.text.toString()}`,
      )
    }
  }
  expect(files.budget.usage().edit).toBe(0)
  return { lines: lines.sort(), summary }
}

async function tree({ home }: Served): Promise<void> {
  await mkdir(join(home, 'src/deep'), { recursive: true })
  await mkdir(join(home, '.hidden'))
  await writeFile(join(home, 'src/a.ts'), 'one\nNeedle two\nneedles\n')
  await writeFile(join(home, 'src/deep/b.py'), 'needle\n')
  await writeFile(join(home, 'ignored.log'), 'needle\n')
  await writeFile(join(home, '.gitignore'), '*.log\n')
  await writeFile(join(home, '.hidden/c'), 'needle\n')
}

test('lines that match are found, with numbers, offsets and places', async () => {
  await using files = await serveFiles()
  await tree(files)
  const found = await grep(files, { pattern: 'needle' })
  expect(found.lines).toEqual(['ignored.log:1:needle', 'src/a.ts:3:needles', 'src/deep/b.py:1:needle'])
  expect(found.summary).toEqual({ lines: 3, files: 3, truncated: false })
  await writeFile(join(files.home, 'f'), 'é x\nab aab\n')
  for await (const items of files.grep({ path: 'f', pattern: 'a+' }))
    for (const item of items)
      if (item.kind === 'match') {
        expect(item).toMatchObject({ number: 2, offset: 5, cut: false })
        expect(item.matches).toEqual([
          { start: 0, end: 1 },
          { start: 3, end: 5 },
        ])
      }
})

test.each<[string, GrepRequest, string[]]>([
  [
    'no case',
    { pattern: 'NEEDLE', case: Case.INSENSITIVE, path: 'src' },
    ['src/a.ts:2:Needle two', 'src/a.ts:3:needles', 'src/deep/b.py:1:needle'],
  ],
  ['smart case', { pattern: 'Needle', case: Case.SMART, path: 'src' }, ['src/a.ts:2:Needle two']],
  ['words', { pattern: 'needle', word: true, path: 'src' }, ['src/deep/b.py:1:needle']],
  ['plain text', { pattern: 'n.edle', fixed: true }, []],
  ['a pattern that looks like an option', { pattern: '--files', path: 'src' }, []],
  ['.gitignore', { pattern: 'needle', scope: { gitignore: true } }, ['src/a.ts:3:needles', 'src/deep/b.py:1:needle']],
  ['hidden files', { pattern: 'needle', scope: { hidden: true, globs: ['!src', '!*.log'] } }, ['.hidden/c:1:needle']],
  ['a glob', { pattern: 'needle', scope: { globs: ['*.py'] } }, ['src/deep/b.py:1:needle']],
  ['a depth', { pattern: 'needle', scope: { depth: 2 }, path: '.' }, ['ignored.log:1:needle', 'src/a.ts:3:needles']],
  [
    'context',
    { pattern: 'Needle', before: 1, after: 1 },
    ['src/a.ts-1-one', 'src/a.ts-3-needles', 'src/a.ts:2:Needle two'],
  ],
  ['several lines', { pattern: 'one\\nNeedle', multiline: true }, ['src/a.ts:1:one\nNeedle two']],
  ['one file', { pattern: 'e', path: 'src/a.ts', limitPerFile: 1 }, ['src/a.ts:1:one']],
])('a search goes by %s', async (_, request, lines) => {
  await using files = await serveFiles()
  await tree(files)
  expect((await grep(files, request)).lines).toEqual(lines)
})

test('counts come without lines', async () => {
  await using files = await serveFiles()
  await tree(files)
  await writeFile(join(files.home, 'src/a\n\nb'), 'needle\n'.repeat(700_000))
  const counted: string[] = []
  for await (const items of files.grep({ pattern: '(?i)needle', path: 'src', count: true }))
    for (const item of items)
      if (item.kind === 'file') counted.push(`${item.path.toString().slice(files.home.length)} ${item.lines}`)
  expect(counted.sort()).toEqual(['/src/a\n\nb 700000', '/src/a.ts 2', '/src/deep/b.py 1'])
})

test('the limit holds in sum, and says that there is more', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), 'x\n'.repeat(300_000))
  const full = await grep(files, { pattern: 'x', limit: 200_000 })
  expect([full.lines.length, full.summary]).toEqual([200_000, { lines: 200_000, files: 0, truncated: true }])
  expect((await grep(files, { pattern: 'x', limitPerFile: 5, limit: 5 })).summary).toEqual({
    lines: 5,
    files: 1,
    truncated: false,
  })
  // The program that was killed is reaped a moment later.
  await expect.poll(() => files.searches.pids()).toEqual([])
})

test('long lines are cut, whatever is in them, and their numbers stay', async () => {
  await using files = await serveFiles()
  for (const [name, line] of [
    ['ascii', `needle ${'x'.repeat(3_000_000)}`],
    ['quotes', `needle ${'"\\\u0001é'.repeat(400_000)}`],
    ['bytes', Buffer.concat([Buffer.from('needle '), Buffer.alloc(1_000_000, 0xfe)])],
    ['short', `needle ${'y'.repeat(3_000)}`],
  ] as const)
    await writeFile(
      join(files.home, name),
      Buffer.concat([Buffer.from('first\n'), Buffer.from(line), Buffer.from('\n')]),
    )
  const found: [string, number, boolean, number][] = []
  for await (const items of files.grep({ pattern: 'needle' }))
    for (const item of items)
      if (item.kind === 'match') {
        expect(item.text.subarray(0, 7).toString()).toBe('needle ')
        found.push([item.path.toString().slice(files.home.length + 1), item.number, item.cut, item.text.length])
      }
  expect(found.sort()).toEqual([
    ['ascii', 2, true, 2000],
    ['bytes', 2, true, expect.any(Number)],
    ['quotes', 2, true, expect.any(Number)],
    ['short', 2, true, 2000],
  ])
  expect(Math.min(...found.map(([, , , length]) => length))).toBeGreaterThan(1_995)
})

test('names that are not UTF-8, links, pipes and binary files among the files do no harm', async () => {
  await using files = await serveFiles()
  const { home } = files
  await writeFile(Buffer.concat([Buffer.from(`${home}/odd`), Buffer.from([0xff, 0x0a])]), 'needle\n')
  await writeFile(join(home, 'binary'), Buffer.from('needle\n\0needle\n'))
  await symlink('.', join(home, 'loop'))
  await symlink('/dev/zero', join(home, 'zero'))
  execFileSync('mkfifo', [join(home, 'pipe')])
  const paths: Buffer[] = []
  for await (const items of files.grep({ pattern: 'needle' }))
    for (const item of items) if (item.kind === 'match') paths.push(item.path)
  expect(paths).toContainEqual(Buffer.concat([Buffer.from(`${home}/odd`), Buffer.from([0xff, 0x0a])]))
  expect(paths.filter((path) => path.includes('loop'))).toEqual([])
})

test.each([
  ['a broken pattern', { pattern: '(' }, refusal('invalid_argument', /unclosed group/)],
  ['a backreference', { pattern: '(a)\\1' }, refusal('invalid_argument', /backreferences/)],
  [
    'a pattern whose automaton is huge',
    { pattern: '(((a{1,500}){1,500}){1,500})' },
    refusal('invalid_argument', /size limit/),
  ],
  ['an empty pattern', { pattern: '' }, refusal('invalid_argument', /empty/)],
  ['a long pattern', { pattern: 'x'.repeat(70_000) }, refusal('invalid_argument', /65536/)],
  ['a broken glob', { pattern: 'a', scope: { globs: ['[z-a]'] } }, refusal('invalid_argument', /glob/)],
  [
    'too many globs',
    { pattern: 'a', scope: { globs: Array(257).fill('a') } },
    refusal('invalid_argument', /256 globs/),
  ],
  ['a missing directory', { pattern: 'a', path: 'missing' }, refusal('not_found', /no such file/)],
  ['a pipe', { pattern: 'a', path: 'pipe' }, refusal('invalid_argument', /not a directory or file/)],
  ['a directory of the kernel', { pattern: 'a', path: '/proc' }, refusal('invalid_argument', /cannot be searched/)],
  [
    "the daemon's own entries",
    { pattern: 'a', path: '/proc/self/cwd' },
    refusal('permission_denied', /must not be followed/),
  ],
  ['a limit that is too high', { pattern: 'a', limit: 200_001 }, refusal('invalid_argument', /limit/)],
])('%s is refused', async (_, request, expected) => {
  await using files = await serveFiles()
  execFileSync('mkfifo', [join(files.home, 'pipe')])
  await expect(grep(files, request)).rejects.toEqual(expected)
  expect(files.budget.usage().edit).toBe(0)
})

test('patterns that others take exponential time for take none', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), `${'a'.repeat(100_000)}!\n`)
  expect((await grep(files, { pattern: '^(a+)+$' })).lines).toEqual([])
  expect((await grep(files, { pattern: '(a|a)*b|(.*.*.*)=x' })).lines).toEqual([])
})

test('a file that takes too much memory ends its search with an error', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), 'a'.repeat(16 * 1024 * 1024))
  await expect(grep(files, { pattern: 'a' })).rejects.toEqual(refusal('resource_exhausted', /too much memory/))
})

test('a search has the rights of its user', async ({ skip }) => {
  if (process.getuid?.() !== 0) skip('needs root')
  await using files = await serveFiles()
  await tree(files)
  await writeFile(join(files.home, 'secret'), 'needle of root\n')
  await chmod(join(files.home, 'secret'), 0o600)
  expect((await grep(files, { pattern: 'of root' })).lines).toEqual([])
  expect((await grep(files, { pattern: 'of root', path: files.home }, { user: 'root' })).lines).toEqual([
    'secret:1:needle of root',
  ])
  await mkdir(join(files.people.dir, 'closed'), { mode: 0o700 })
  await expect(grep(files, { pattern: 'a', path: join(files.people.dir, 'closed') })).rejects.toEqual(
    refusal('permission_denied', /as that user/),
  )
})

test('a client that leaves ends the program', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), 'x\n'.repeat(2_000_000))
  for await (const _ of files.grep({ pattern: 'x', limit: 200_000 })) break
  const leave = new AbortController()
  const search = grep(files, { pattern: 'x', limit: 200_000 }, { signal: leave.signal })
  leave.abort(new Error('left'))
  await expect(search).rejects.toThrow('left')
  await expect.poll(() => files.searches.pids()).toEqual([])
  expect(files.budget.usage().edit).toBe(0)
})

test('eight searches run at a time, and one more is refused until one has ended', async () => {
  await using files = await serveFiles()
  await writeFile(join(files.home, 'f'), 'x\n'.repeat(2_000_000))
  const running = Array.from({ length: 8 }, () => files.grep({ pattern: 'x', limit: 200_000 }))
  for (const search of running) await search.next()
  await expect(grep(files, { pattern: 'x' })).rejects.toEqual(refusal('budget_spent', /8 searches/))
  for (const search of running) await search.return()
  await grep(files, { pattern: 'x', limit: 1 })
  await expect.poll(() => files.searches.pids()).toEqual([])
})
