import { joinPath } from './paths.ts'

/** What is in a directory. */
export interface Entry {
  readonly name: string
  readonly path: string
  /** Of the target, if it is a link; `other`: a device, pipe, socket, or a link that leads nowhere. */
  readonly kind: 'directory' | 'file' | 'other'
  /** Bytes. */
  readonly size: number
  /** As `-rw-r--r--`. */
  readonly permissions: string
  readonly owner: string
  /** Milliseconds since 1970; undefined where it is not known. */
  readonly modified: number | undefined
  /** What the link says, if it is one. */
  readonly target: string | undefined
}

/** What entries are sorted by. */
export type SortKey = 'name' | 'size' | 'modified'

/** An order of entries. */
export interface Order {
  readonly key: SortKey
  readonly descending: boolean
}

/** An entry as messages of the daemon have it, without what is not shown. */
interface EntryMessage {
  readonly name: string
  readonly type: number
  readonly size: bigint
  readonly permissions: string
  readonly owner: string
  readonly modifiedTime?: { readonly seconds: bigint; readonly nanos: number } | undefined
  readonly symlinkTarget?: string | undefined
}

/** FileType of filesystem.proto. */
const FILE = 1
const DIRECTORY = 2

/** The entry of a message, in `directory` as the page names it (a link that leads to a directory keeps its own name). */
export function toEntry(directory: string, message: EntryMessage): Entry {
  const { name, type, size, permissions, owner, modifiedTime, symlinkTarget } = message
  return {
    name,
    path: joinPath(directory, name),
    kind: type === DIRECTORY ? 'directory' : type === FILE ? 'file' : 'other',
    size: Number(size),
    permissions,
    owner,
    modified: modifiedTime && Number(modifiedTime.seconds) * 1000 + modifiedTime.nanos / 1e6,
    target: symlinkTarget,
  }
}

/** A comparison for `sort`: directories first, then by the key, and by name where that is the same. */
export function comparison({ key, descending }: Order): (a: Entry, b: Entry) => number {
  const sign = descending ? -1 : 1
  const byKey = key === 'name' ? byName : key === 'size' ? bySize : byTime
  return (a, b) => kindRank(a) - kindRank(b) || sign * byKey(a, b) || byName(a, b)
}

function kindRank({ kind }: Entry): number {
  return kind === 'directory' ? 0 : 1
}

/** By code unit and without regard to case: a collator takes ten times as long, which 100,000 entries make a second. */
function byName(a: Entry, b: Entry): number {
  return order(lowerCase(a), lowerCase(b)) || order(a.name, b.name)
}

function bySize(a: Entry, b: Entry): number {
  return a.size - b.size
}

function byTime(a: Entry, b: Entry): number {
  return (a.modified ?? 0) - (b.modified ?? 0)
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** Lasts as long as its entry. */
const lowered = new WeakMap<Entry, string>()

function lowerCase(entry: Entry): string {
  const known = lowered.get(entry)
  if (known !== undefined) return known
  const text = entry.name.toLowerCase()
  lowered.set(entry, text)
  return text
}
