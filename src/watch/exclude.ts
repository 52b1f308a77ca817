import { AppError } from '../errors.ts'
import type { Steps } from '../lib/steps.ts'
import { withoutTrailing } from '../lib/without-trailing.ts'
import { type Glob, matchesEnds, matchesMiddle, parseGlob, splitPath } from './glob.ts'

/**
 * Whether an entry is left out. `path`: relative to the watched directory, one character per byte, and in none that is
 * left out itself. In steps: a pattern of many names takes tens of milliseconds for a path of thousands.
 */
export type Exclude = (path: string, isDirectory: boolean) => Steps<boolean>

/** Patterns of one watcher; projects have a dozen. */
const MAX_PATTERNS = 64

/** Bytes of all patterns of one watcher. A match compares each of them with each byte of the path at most. */
const MAX_BYTES = 2_048

/** Bytes of patterns in one step of a match, each compared with the bytes of one name at worst: 0.1 ms. */
const STEP_BYTES = 256

interface Rule {
  readonly glob: Glob
  /** Of the pattern. */
  readonly bytes: number
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
  const rules = rulesOf(patterns.map(toRule).filter((rule) => rule !== undefined))
  if (rules === undefined) return undefined
  return function* exclude(path, isDirectory) {
    return (yield* rules(path, isDirectory)) === true
  }
}

/** Whether an entry is left out (true) or taken back (false) by a list of patterns; undefined: it says nothing. */
type Rules = (path: string, isDirectory: boolean) => Steps<boolean | undefined>

/**
 * The rules in a .gitignore, for paths below its directory; undefined: it has none. The caller limits its size, and
 * counts some 320 bytes for each line and 48 for each byte.
 */
export function* rulesOfFile(text: string): Steps<Rules | undefined> {
  const rules: Rule[] = []
  for (const line of text.replace(/^\ufeff/, '').split(/\r?\n/)) {
    const rule = toRule(line)
    if (rule !== undefined) rules.push(rule)
    yield
  }
  return rulesOf(rules)
}

function rulesOf(rules: readonly Rule[]): Rules | undefined {
  if (rules.length === 0) return undefined
  // The last one first, as that is the one that counts.
  const reversed = rules.toReversed()
  return (path, isDirectory) => judge(reversed, path, isDirectory)
}

function* judge(rules: readonly Rule[], path: string, isDirectory: boolean): Steps<boolean | undefined> {
  const split = splitPath(path)
  let bytes = 0
  for (const rule of rules) {
    bytes += rule.bytes
    if (bytes > STEP_BYTES) {
      bytes = 0
      yield
    }
    const { glob } = rule
    if (rule.onlyDirectories && !isDirectory) continue
    if (matchesEnds(glob, split) && (glob.middle.length === 0 || (yield* matchesMiddle(glob, split))))
      return !rule.negated
  }
  return undefined
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
  const bytes = Buffer.from(text).toString('latin1')
  return { glob: parseGlob(bytes), bytes: bytes.length, negated, onlyDirectories }
}
