import { AppError } from '../errors.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { createCountParser, type FoundLine, MAX_RECORD_BYTES, parseRecord, RECORD_MARKER } from './grep-records.ts'
import { MAX_PATTERN_BYTES } from './limits.ts'
import { RecordSplitter, type SearchRecord } from './records.ts'
import { ripgrep } from './ripgrep.ts'
import { type Scope, scopeArguments, searchPlace, shownPath } from './search-place.ts'
import type { SearchProcesses, SearchProgram } from './search-process.ts'
import { searchRecords } from './searches.ts'

/** What to look for. */
export interface GrepQuery {
  readonly pattern: string
  readonly fixed: boolean
  readonly case: 'sensitive' | 'insensitive' | 'smart'
  readonly word: boolean
  readonly multiline: boolean
  /** Lines of context. */
  readonly before: number
  readonly after: number
  readonly scope: Scope
  /** Matching lines, or with `count` files. */
  readonly limit: number
  /** 0: all. */
  readonly limitPerFile: number
  readonly count: boolean
  readonly maxFileBytes: number
  readonly lineBytes: number
}

/** Who searches, and how. */
export interface SearchContext {
  readonly owner: FileUser
  readonly user: SearchProgram['user']
  readonly processes: SearchProcesses
  readonly keepalive: number
  readonly signal: AbortSignal
  readonly hold: Parameters<typeof searchRecords>[0]['hold']
}

/** What a search in files sends. */
export type GrepItem =
  | FoundLine
  | { readonly kind: 'file'; readonly path: Buffer; readonly lines: number; readonly binary: boolean }
  | { readonly kind: 'keepalive' }
  | ({ readonly kind: 'summary'; readonly lines: number; readonly files: number } & Completeness)

/** Whether a search has found all. */
export interface Completeness {
  /** There is more than the limit. */
  readonly truncated: boolean
  /** Some files or directories could not be read. */
  readonly unreadable: boolean
}

/** Memory of the regular expression and of its automaton. */
const REGEX_SIZE = '16M'

/**
 * The lines below a path that match, those of a piece of output at a time, then a summary; paths are absolute. Rejects
 * with AppError as `searchPlace` and `searchRecords`.
 */
export async function* grep(path: string, query: GrepQuery, context: SearchContext): AsyncGenerator<GrepItem[], void> {
  checkPattern(query.pattern)
  const place = await searchPlace(path, context, 'directory or file')
  const args = [...scopeArguments(query.scope, place), ...grepArguments(query), '--', place.target]
  const splitter = new RecordSplitter({ separator: 10, maxBytes: MAX_RECORD_BYTES, marker: RECORD_MARKER })
  const program = { file: await ripgrep.path(), args, cwd: place.cwd, user: context.user }
  const parse = query.count ? createCountParser() : (record: SearchRecord) => parseRecord(record, query.lineBytes)
  const total = { lines: 0, files: 0, truncated: false, unreadable: place.silent }
  const onUnreadable = () => {
    total.unreadable = true
  }
  for await (const records of searchRecords({ ...context, program, splitter, onUnreadable })) {
    if (records === undefined) yield [{ kind: 'keepalive' }]
    const items: GrepItem[] = []
    for (const record of records ?? []) {
      const item = parse(record)
      if (item === undefined) continue
      total.truncated = isBeyond(item, total, query)
      if (total.truncated) break
      if (item.kind === 'file') total.files++
      if (item.kind === 'match') total.lines++
      if (item.kind === 'file' && query.count) total.lines += item.lines
      items.push({ ...item, path: shownPath(place, item.path) })
    }
    if (items.length > 0) yield items
    if (total.truncated) break
  }
  yield [{ kind: 'summary', ...total }]
}

function isBeyond({ kind }: GrepItem, total: { lines: number; files: number }, { limit, count }: GrepQuery): boolean {
  return count ? kind === 'file' && total.files >= limit : kind === 'match' && total.lines >= limit
}

function checkPattern(pattern: string): void {
  if (pattern === '') throw new AppError('invalid_argument', 'pattern must not be empty')
  if (Buffer.byteLength(pattern) > MAX_PATTERN_BYTES || pattern.includes('\0'))
    throw new AppError('invalid_argument', `a pattern has at most ${MAX_PATTERN_BYTES} bytes, and no zero byte`)
}

function grepArguments(query: GrepQuery): string[] {
  const cases = { sensitive: '--case-sensitive', insensitive: '--ignore-case', smart: '--smart-case' }
  return [
    ...['--no-mmap', `--regex-size-limit=${REGEX_SIZE}`, `--dfa-size-limit=${REGEX_SIZE}`],
    ...[cases[query.case], `--max-filesize=${query.maxFileBytes}`],
    ...(query.fixed ? ['--fixed-strings'] : []),
    ...(query.word ? ['--word-regexp'] : []),
    ...(query.multiline ? ['--multiline'] : []),
    ...(query.count ? countArguments(query) : lineArguments(query)),
    `--regexp=${query.pattern}`,
  ]
}

function countArguments({ limitPerFile }: GrepQuery): string[] {
  return ['--count', '--null', '--with-filename', ...(limitPerFile > 0 ? [`--max-count=${limitPerFile}`] : [])]
}

/** The program keeps what it finds in a file until it has searched all of it. */
function lineArguments({ before, after, limit, limitPerFile }: GrepQuery): string[] {
  const most = Math.min(limitPerFile || Number.POSITIVE_INFINITY, limit + 1)
  return ['--json', `--before-context=${before}`, `--after-context=${after}`, `--max-count=${most}`]
}
