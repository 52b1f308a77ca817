import { AppError } from '../errors.ts'
import { withoutTrailing } from '../lib/without-trailing.ts'
import { type Glob, matchesGlob, parseGlob } from './glob.ts'

/**
 * Whether an entry is left out. `path`: relative to the watched directory, one character per byte, and in none that is
 * left out itself.
 */
export type Exclude = (path: string, isDirectory: boolean) => boolean

/** Patterns of one watcher; projects have a dozen. */
const MAX_PATTERNS = 64

/**
 * Bytes of all patterns of one watcher. A match takes a step for each of them and each byte of the path at most: some
 * milliseconds.
 */
const MAX_BYTES = 2_048

interface Rule {
  readonly glob: Glob
  /** It takes back what an earlier rule excludes. */
  readonly negated: boolean
  readonly onlyDirectories: boolean
}

/**
 * Makes the filter of patterns as in a .gitignore (gitignore(5)): of those that match the last one counts. Undefined:
 * there are none. Throws AppError `invalid_argument` for too many.
 */
export function createExclude(patterns: readonly string[]): Exclude | undefined {
  const bytes = patterns.reduce((sum, pattern) => sum + Buffer.byteLength(pattern), 0)
  if (patterns.length > MAX_PATTERNS || bytes > MAX_BYTES)
    throw new AppError(
      'invalid_argument',
      `there are ${patterns.length} patterns of ${bytes} bytes to exclude, at most ${MAX_PATTERNS} of ${MAX_BYTES} bytes may be`,
    )
  const judge = rulesOf(patterns)
  return judge && ((path, isDirectory) => judge(path, isDirectory) === true)
}

/** Whether an entry is left out (true) or taken back (false) by a list of patterns; undefined: it says nothing. */
type Rules = (path: string, isDirectory: boolean) => boolean | undefined

/** The rules in a .gitignore, for paths below its directory; undefined: it has none. The caller limits its size. */
export function rulesOfFile(text: string): Rules | undefined {
  return rulesOf(text.replace(/^\ufeff/, '').split(/\r?\n/))
}

function rulesOf(patterns: readonly string[]): Rules | undefined {
  // The last one first, as that is the one that counts.
  const rules = patterns
    .map(toRule)
    .filter((rule) => rule !== undefined)
    .reverse()
  if (rules.length === 0) return undefined
  return (path, isDirectory) => {
    const rule = rules.find(({ glob, onlyDirectories }) => (isDirectory || !onlyDirectories) && matchesGlob(glob, path))
    return rule && !rule.negated
  }
}

function toRule(pattern: string): Rule | undefined {
  // Spaces at the end count only behind a backslash.
  let text = withoutTrailing(pattern, ' ')
  if (text.endsWith('\\') && text.length < pattern.length) text += ' '
  if (text === '' || text.startsWith('#')) return undefined
  const negated = text.startsWith('!')
  if (negated) text = text.slice(1)
  const onlyDirectories = text.endsWith('/')
  if (onlyDirectories) text = text.slice(0, -1)
  if (text === '') return undefined
  return { glob: parseGlob(Buffer.from(text).toString('latin1')), negated, onlyDirectories }
}
