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
  sorted: [string, Entry][] | undefined
}

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
    this.#directories.set(path, { state: 'loading', failure: undefined, entries: new Map(), sorted: [] })
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
    directory.sorted = undefined
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
    this.#directories.set(path, { state: 'failed', failure, entries: new Map(), sorted: [] })
    this.#changed()
  }

  /** Takes an entry that is new or has changed in a directory that is open. */
  upsert(path: string, entry: Entry): void {
    const directory = this.#directories.get(path)
    if (directory === undefined) return
    if (entry.kind !== 'directory' && this.isOpen(entry.path)) this.collapse(entry.path)
    directory.entries.set(entry.name, entry)
    directory.sorted?.push([entry.name, entry])
    // A page in the background is not seen, and would collect changes without end.
    if ((directory.sorted?.length ?? 0) > 2 * directory.entries.size + 1000) directory.sorted = undefined
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
    for (const directory of this.#directories.values()) directory.sorted = undefined
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
        key: joinPath(path, key),
        level,
        state: entry.kind === 'directory' ? (below?.state ?? 'closed') : 'none',
        failure: below?.failure,
        position: index + 1,
        siblings: sorted.length,
      })
      if (below !== undefined) this.#append(rows, entry.path, level + 1)
    }
  }

  /** Sorting what is almost in order takes time proportional to its length. */
  #sorted(directory: Directory): readonly (readonly [string, Entry])[] {
    const { entries, sorted } = directory
    const compare = comparison(this.#order)
    const current = sorted?.filter(([key, entry]) => entries.get(key) === entry) ?? [...entries]
    directory.sorted = current.sort(([, a], [, b]) => compare(a, b))
    return directory.sorted
  }

  #changed(): void {
    this.#rows = undefined
    this.#places = undefined
  }
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
