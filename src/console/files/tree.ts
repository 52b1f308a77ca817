import { comparison, type Entry, type Order } from './entry.ts'
import { isWithin, joinPath } from './paths.ts'

/** One row of the grid. */
export interface Row {
  readonly entry: Entry
  /** Unlike `entry.path` no other row has it: two names that are not UTF-8 can look the same. */
  readonly key: string
  /** From 1 on. */
  readonly level: number
  /** `none`: it is no directory. */
  readonly state: 'none' | 'closed' | 'loading' | 'open' | 'failed'
  /** Why the directory could not be listed. */
  readonly failure: string | undefined
  /** From 1 on, and how many there are in its directory. */
  readonly position: number
  readonly siblings: number
}

interface Directory {
  state: 'loading' | 'open' | 'failed'
  failure: string | undefined
  entries: Map<string, Entry>
  /** In order, and without what has changed since; undefined: all must be sorted. */
  sorted: readonly Place[] | undefined
  /** What has changed since, in no order. */
  changed: Place[]
}

/** A page in the background is not seen, and would collect changes without end; beyond it sorting all is as fast. */
const MAX_CHANGED = 1000

/** A key of `entries`, and what was there. */
type Place = readonly [string, Entry]

/**
 * Directories that were listed, and the rows that show them. What is below a closed directory is forgotten. Knows
 * nothing of the network: its owner lists the directories that `expand` has opened and reports what has changed.
 */
export class Tree {
  #root: string
  #order: Order = { key: 'name', descending: false }
  readonly #directories = new Map<string, Directory>()
  #rows: readonly Row[] | undefined
  #places: Map<string, number> | undefined

  /** @param root an absolute path; its entries are the rows of level 1. */
  constructor(root: string) {
    this.#root = root
    this.expand(root)
  }

  get root(): string {
    return this.#root
  }

  get order(): Order {
    return this.#order
  }

  /** The state of the root's list, and why it failed. */
  get rootState(): { readonly state: Directory['state']; readonly failure: string | undefined } {
    const { state, failure } = this.#directories.get(this.#root) ?? { state: 'loading', failure: undefined }
    return { state, failure }
  }

  /** Shows another directory; what is known below it stays. */
  setRoot(path: string): void {
    for (const known of this.#directories.keys()) if (!isWithin(known, path)) this.#directories.delete(known)
    this.#root = path
    this.expand(path)
    this.#changed()
  }

  /** Opens a directory. @returns whether it must be listed. */
  expand(path: string): boolean {
    const known = this.#directories.get(path)
    if (known !== undefined && known.state !== 'failed') return false
    this.#directories.set(path, newDirectory('loading'))
    this.#changed()
    return true
  }

  /** Closes a directory and forgets what is in it. */
  collapse(path: string): void {
    if (path === this.#root) return
    for (const known of this.#directories.keys()) if (isWithin(known, path)) this.#directories.delete(known)
    this.#changed()
  }

  isOpen(path: string): boolean {
    return this.#directories.has(path)
  }

  /** Directories that are open, the root first. */
  open(): readonly string[] {
    return [...this.#directories.keys()]
  }

  /** Takes the list of a directory that is open; else nothing happens. Directories in it that are gone are closed. */
  setEntries(path: string, entries: readonly Entry[]): void {
    const directory = this.#directories.get(path)
    if (directory === undefined) return
    directory.state = 'open'
    directory.failure = undefined
    directory.entries = new Map()
    for (const entry of entries) directory.entries.set(freeKey(directory.entries, entry.name), entry)
    sortAnew(directory)
    const kept = new Set(entries.filter(({ kind }) => kind === 'directory').map((entry) => entry.path))
    for (const known of this.open()) {
      const child = childWithin(path, known)
      if (child !== undefined && !kept.has(child)) this.#directories.delete(known)
    }
    this.#changed()
  }

  /** Shows why a directory could not be listed. */
  fail(path: string, failure: string): void {
    const directory = this.#directories.get(path)
    if (directory === undefined) return
    this.#directories.set(path, newDirectory('failed', failure))
    this.#changed()
  }

  /** Takes an entry that is new or has changed in a directory that is open. */
  upsert(path: string, entry: Entry): void {
    const directory = this.#directories.get(path)
    if (directory === undefined) return
    if (entry.kind !== 'directory' && this.isOpen(entry.path)) this.collapse(entry.path)
    directory.entries.set(entry.name, entry)
    directory.changed.push([entry.name, entry])
    if (directory.changed.length > MAX_CHANGED) sortAnew(directory)
    this.#changed()
  }

  /** Takes an entry out, with what is below it. */
  remove(path: string, name: string): void {
    const directory = this.#directories.get(path)
    if (directory?.entries.delete(name) !== true) return
    this.collapse(joinPath(path, name))
    this.#changed()
  }

  sort(order: Order): void {
    this.#order = order
    for (const directory of this.#directories.values()) sortAnew(directory)
    this.#changed()
  }

  /** All rows from the top on; the same array until something changes. */
  rows(): readonly Row[] {
    if (this.#rows !== undefined) return this.#rows
    const rows: Row[] = []
    this.#append(rows, this.#root, 1)
    this.#rows = rows
    return rows
  }

  /** The place of a row among `rows()`; -1: it is not shown. */
  indexOf(key: string): number {
    this.#places ??= new Map(this.rows().map((row, index) => [row.key, index]))
    return this.#places.get(key) ?? -1
  }

  #append(rows: Row[], path: string, level: number): void {
    const directory = this.#directories.get(path)
    if (directory === undefined) return
    const sorted = this.#sorted(directory)
    for (const [index, [key, entry]] of sorted.entries()) {
      const below = entry.kind === 'directory' ? this.#directories.get(entry.path) : undefined
      rows.push({
        entry,
        key: key === entry.name ? entry.path : joinPath(path, key),
        level,
        state: entry.kind === 'directory' ? (below?.state ?? 'closed') : 'none',
        failure: below?.failure,
        position: index + 1,
        siblings: sorted.length,
      })
      if (below !== undefined) this.#append(rows, entry.path, level + 1)
    }
  }

  /** Only what has changed is compared: comparing 100,000 entries takes more than a tenth of a second. */
  #sorted(directory: Directory): readonly Place[] {
    const { entries, sorted, changed } = directory
    const compare = comparison(this.#order)
    const byOrder = ([, a]: Place, [, b]: Place) => compare(a, b)
    const isCurrent = ([key, entry]: Place) => entries.get(key) === entry
    directory.changed = []
    directory.sorted =
      sorted === undefined
        ? [...entries].sort(byOrder)
        : merged(sorted.filter(isCurrent), changed.filter(isCurrent).sort(byOrder), byOrder)
    return directory.sorted
  }

  #changed(): void {
    this.#rows = undefined
    this.#places = undefined
  }
}

function newDirectory(state: Directory['state'], failure?: string): Directory {
  return { state, failure, entries: new Map(), sorted: [], changed: [] }
}

function sortAnew(directory: Directory): void {
  directory.sorted = undefined
  directory.changed = []
}

/** Both in order; `few` are placed among `many` with some 17 comparisons each. */
function merged(many: readonly Place[], few: readonly Place[], byOrder: (a: Place, b: Place) => number) {
  const none: Place[] = []
  const parts = [none]
  let taken = 0
  for (const one of few) {
    let end = many.length
    let start = taken
    while (start < end) {
      const middle = (start + end) >> 1
      const other = many[middle]
      if (other !== undefined && byOrder(other, one) <= 0) start = middle + 1
      else end = middle
    }
    parts.push(many.slice(taken, start), [one])
    taken = start
  }
  return none.concat(...parts, many.slice(taken))
}

/** The name, or with a zero byte and a number behind it if there is one of it. */
function freeKey(entries: ReadonlyMap<string, Entry>, name: string): string {
  if (!entries.has(name)) return name
  let number = 2
  while (entries.has(`${name}\0${number}`)) number++
  return `${name}\0${number}`
}

/** The child of `directory` that `path` is or is in; undefined: it is not below. */
function childWithin(directory: string, path: string): string | undefined {
  const start = joinPath(directory, '')
  if (!path.startsWith(start) || path === start) return undefined
  const end = path.indexOf('/', start.length)
  return end === -1 ? path : path.slice(0, end)
}
