import { constants } from 'node:fs'
import { isKind } from '../filesystem/entry.ts'
import { fileErrno } from '../filesystem/failure.ts'
import { forEachLimited } from '../lib/for-each-limited.ts'
import { type RawEntry, unpackEntries } from '../native/entries.ts'
import { type Actor, readEntries } from '../native/files.ts'
import type { Completeness, SearchContext } from './grep.ts'
import { RecordSplitter } from './records.ts'
import { ripgrep } from './ripgrep.ts'
import { type Scope, scopeArguments, searchPlace, shownPath } from './search-place.ts'
import { searchRecords } from './searches.ts'

/** Which files to find. */
export interface FindQuery {
  readonly scope: Scope
  /** Whether a file counts: its size in bytes, and its time of modification in nanoseconds since 1970. */
  readonly matches: (file: { readonly size: bigint; readonly modified: bigint }) => boolean
  readonly limit: number
}

/** What a search for files sends. */
export type FindItem =
  | { readonly kind: 'file'; readonly path: Buffer; readonly entry: RawEntry }
  | { readonly kind: 'keepalive' }
  | ({ readonly kind: 'summary'; readonly files: number } & Completeness)

/** Bytes of a path that is taken: twice the longest that the kernel takes in one piece. */
const MAX_PATH_BYTES = 8 * 1024
/** No name has a zero byte, and so no attribute is looked for. */
const NO_ATTRIBUTES = '\0'
const NS = 1_000_000_000n

/**
 * The regular files below a directory that match, some at a time, then a summary; paths are absolute. Rejects as
 * `grep`.
 */
export async function* find(path: string, query: FindQuery, context: SearchContext): AsyncGenerator<FindItem[], void> {
  const place = await searchPlace(path, context, 'directory')
  const args = ['--files', '--null', ...scopeArguments(query.scope, place), '--', place.target]
  const splitter = new RecordSplitter({ separator: 0, maxBytes: MAX_PATH_BYTES, marker: Buffer.from('\0') })
  const program = { file: await ripgrep.path(), args, cwd: place.cwd, user: context.user }
  let files = 0
  let truncated = false
  let unreadable = place.silent
  const onUnreadable = () => {
    unreadable = true
  }
  for await (const records of searchRecords({ ...context, program, splitter, onUnreadable })) {
    if (records === undefined) yield [{ kind: 'keepalive' }]
    const paths = (records ?? []).flatMap(({ bytes, tail }) => (tail === undefined ? [shownPath(place, bytes)] : []))
    const found = (await regularFiles(paths, context.owner)).filter(({ entry }) => query.matches(factsOf(entry)))
    truncated = files + found.length > query.limit
    const items = found.slice(0, query.limit - files).map((file) => ({ kind: 'file' as const, ...file }))
    files += items.length
    if (items.length > 0) yield items
    if (truncated) break
  }
  yield [{ kind: 'summary', files, truncated, unreadable }]
}

interface FoundFile {
  readonly path: Buffer
  readonly entry: RawEntry
}

/** Directories that are looked at a time. */
const AT_ONCE = 4
/** Bytes of entries that one look returns. */
const ENTRIES_BYTES = 64 * 1024

/** Those that are regular files still, and may be seen; in any order. */
async function regularFiles(paths: readonly Buffer[], actor: Actor): Promise<FoundFile[]> {
  const directories = new Map<string, Buffer[]>()
  for (const path of paths) {
    const slash = path.lastIndexOf(0x2f)
    const key = path.toString('latin1', 0, slash + 1)
    const names = directories.get(key) ?? []
    if (names.length === 0) directories.set(key, names)
    names.push(path.subarray(slash + 1))
  }
  const found: FoundFile[] = []
  await forEachLimited([...directories], AT_ONCE, async ([key, names]) => {
    const directory = Buffer.from(key, 'latin1')
    for (const entry of await entriesOf(directory, names, actor))
      if (isKind(entry.mode, constants.S_IFREG)) found.push({ path: Buffer.concat([directory, entry.name]), entry })
  })
  return found
}

/** A directory that went meanwhile, or that its user is not led to, has none. */
async function entriesOf(directory: Buffer, names: readonly Buffer[], actor: Actor): Promise<RawEntry[]> {
  const entries: RawEntry[] = []
  let packed = Buffer.concat(names.flatMap((name) => [lengthOf(name), name]))
  try {
    while (packed.length > 0) {
      const read = await readEntries(directory, NO_ATTRIBUTES, packed, ENTRIES_BYTES, actor)
      const used = read.readUInt32LE(0)
      if (used === 0) break
      packed = packed.subarray(used)
      entries.push(...unpackEntries(read.subarray(4)))
    }
  } catch (error) {
    if (fileErrno(error) === undefined) throw error
  }
  return entries
}

function lengthOf(name: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(name.length)
  return length
}

function factsOf({ size, modifiedSeconds, modifiedNanoseconds }: RawEntry) {
  return { size, modified: modifiedSeconds * NS + BigInt(modifiedNanoseconds) }
}
