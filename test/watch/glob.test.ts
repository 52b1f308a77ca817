import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { takeSteps } from '../../src/lib/steps.ts'
import { createExclude, type Exclude, rulesOfFile } from '../../src/watch/exclude.ts'
import { fastest, timeOf } from '../_util/fastest.ts'
import { makeTmpDir } from '../_util/tmp-dir.ts'

const PATTERNS = [
  ...[
    '*.log',
    'build/',
    '/top',
    'a/b',
    'a/**',
    '**/deep',
    'x/**/y',
    '!keep.log',
    '\\!bang',
    '\\#hash',
    '# comment',
    '',
  ],
  ...[
    '[abc]1',
    '[!abc]2',
    '[a-c]3',
    'q?z',
    'two\\ ',
    'trail   ',
    '*',
    '**',
    'a*b*c',
    'é',
    '*.l[o',
    '[]]4',
    '[\\]]5',
    '/',
  ],
  ...[
    '**/',
    'a/*/c',
    '/**/m',
    'n/**/',
    '**/n/**',
    'a/**/c/**',
    '**/1/**/y',
    'x/**/2/y',
    '**/**',
    'foo**bar',
    '\\*star',
    '[a\\-z]6',
    '[^x]7',
    '[!]8',
  ],
]

const FILES = [
  ...[
    'w.log',
    'keep.log',
    'build',
    'd/build/f',
    'top',
    'd/top',
    'a/b',
    'd/a/b',
    'a/c/d',
    'deep',
    'd/e/deep',
    'x/y',
    'x/1/y',
  ],
  ...[
    'x/1/2/y',
    '!bang',
    '#hash',
    '# comment',
    'a1',
    'd1',
    'a2',
    'd2',
    'b3',
    'd3',
    'qaz',
    'two ',
    'trail',
    'abc',
    'aXbYc',
  ],
  ...[
    'é',
    'w.l[o',
    ']4',
    ']5',
    'm',
    'd/m',
    'n/o/p',
    'foobar',
    'foo/bar',
    'foo-bar',
    '*star',
    '-6',
    'z6',
    'x7',
    'y7',
    'n/q',
  ],
]

test('patterns exclude what git ignores', async () => {
  await using tmp = await makeTmpDir()
  execFileSync('git', ['init', '-q', tmp.path])
  FILES.forEach((file, index) => {
    // Files that are directories elsewhere in the list have a tree of their own.
    mkdirSync(join(tmp.path, String(index), dirname(file)), { recursive: true })
    writeFileSync(join(tmp.path, String(index), file), '')
  })
  const wrong: string[] = []
  for (const patterns of [...PATTERNS.map((one) => [one]), ['*.log', '!keep.log'], ['d/', '!d/top'], ['a/*', '!a/b']]) {
    for (const index of FILES.keys()) writeFileSync(join(tmp.path, String(index), '.gitignore'), patterns.join('\n'))
    const input = FILES.map((file, index) => `${index}/${file}`).join('\0')
    const ignored = new Set(check(tmp.path, input))
    const exclude = createExclude(patterns)
    FILES.forEach((file, index) => {
      if (exclude !== undefined && excluded(exclude, file) !== ignored.has(`${index}/${file}`))
        wrong.push(`${patterns}: ${file}`)
      if (exclude === undefined && ignored.has(`${index}/${file}`)) wrong.push(`${patterns}: ${file}`)
    })
  }
  expect(wrong).toEqual([])
})

test('patterns that make others backtrack take no time', async () => {
  const stars = `${'*a'.repeat(120)}b`
  const exclude = createExclude([
    stars,
    `${'**/a/'.repeat(60)}b`,
    ...Array.from({ length: 10 }, () => `${'*?'.repeat(60)}c`),
  ])
  const compare = () => {
    for (const path of ['a'.repeat(255), 'a/'.repeat(2_000).slice(0, -1)])
      expect(exclude && takeSteps(exclude(path, false))).toBe(false)
  }
  // Backtracking would not end within the time of the test.
  expect(await fastest(100, () => timeOf(compare))).toBeLessThan(100)
})

test('more patterns than are allowed are refused', () => {
  const refused = (patterns: readonly string[]) =>
    expect(() => createExclude(patterns)).toThrow(
      /^there are \d+ patterns of \d+ bytes to exclude, at most 64 of 2048 bytes may be$/,
    )
  refused(Array.from({ length: 65 }, () => 'a'))
  refused(['é'.repeat(1_025)])
  expect(createExclude([])).toBeUndefined()
  expect(createExclude(['', '# comment', '/'])).toBeUndefined()
})

/** Whether a path, or a directory that it is in, is excluded: below that nothing is asked. */
function excluded(exclude: Exclude, file: string): boolean {
  const bytes = Buffer.from(file).toString('latin1')
  const names = bytes.split('/')
  return names.some((_, index) => takeSteps(exclude(names.slice(0, index + 1).join('/'), index < names.length - 1)))
}

function check(cwd: string, input: string): string[] {
  const words = ['check-ignore', '-z', '--stdin', '--no-index']
  try {
    return execFileSync('git', words, { cwd, input, stdio: ['pipe', 'pipe', 'ignore'] })
      .toString()
      .split('\0')
  } catch {
    // 1: nothing is ignored.
    return []
  }
}

test('a match pauses after steps that are far below a millisecond, whatever the pattern', () => {
  const name = 'a'.repeat(240)
  const path = Array(16).fill(name).join('/')
  const rule = `/**/*${'a'.repeat(126)}b/**`
  const rules = takeSteps(rulesOfFile(Array(120).fill(rule).join('\n')))
  let steps = 0
  if (rules !== undefined) for (const _ of rules(path, false)) steps++
  // Comparisons of all rules with all names but one, at most 128 Ki in a step.
  expect(steps).toBeGreaterThanOrEqual((120 * 15 * 127 * 240) / 2 ** 17)
})
