import type { FilesystemEvent } from '../../gen/filesystem/filesystem_pb.js'
import type { Connection } from '../connection.ts'
import type { FilesApi } from './api.ts'
import { type Order, toEntry } from './entry.ts'
import { textOf } from './failure.ts'
import { isGone, Live } from './live.ts'
import { joinPath } from './paths.ts'
import { Tree } from './tree.ts'

/** Changes that are kept while a directory is being listed; with more of them it is listed again. */
const MAX_HELD = 10_000

/** A list does not wait longer for its directory to be watched; it is then made again. */
const WATCH_MS = 500

interface Listing {
  readonly abort: AbortController
  held: FilesystemEvent[]
}

/** Called with the file that has changed on disk. */
type FileListener = (path: string, gone: boolean) => void

/**
 * What the grid shows: the tree, kept as the disk has it. A directory is watched first and listed then, so that nothing
 * falls in between; what happens while it is listed is applied to the list. The owner closes it.
 */
export class FilesStore {
  readonly tree: Tree
  readonly #api: Pick<FilesApi, 'list'>
  readonly #live: Live
  readonly #listeners = new Set<() => void>()
  readonly #fileListeners = new Set<FileListener>()
  readonly #listings = new Map<string, Listing>()
  #frame: number | undefined

  constructor(api: FilesApi, connection: Pick<Connection, 'returned'>, root: string) {
    this.#api = api
    this.tree = new Tree(root)
    this.#live = new Live({
      ...{ directories: api.directories, connection },
      onEvent: (directory, event) => this.#take(directory, event),
      onWatched: (directories) => {
        for (const directory of directories) void this.#list(directory)
      },
      onEnded: (directory, code) => this.#ended(directory, code),
    })
    this.#begin(root)
  }

  /** Calls `listener` after changes, once a frame. @returns what ends that. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  /** Calls `listener` for every change of a file. @returns what ends that. */
  onFile(listener: FileListener): () => void {
    this.#fileListeners.add(listener)
    return () => void this.#fileListeners.delete(listener)
  }

  setRoot(path: string): void {
    this.tree.setRoot(path)
    this.#begin(path)
  }

  expand(path: string): void {
    if (this.tree.expand(path)) this.#begin(path)
    this.#changed()
  }

  collapse(path: string): void {
    this.tree.collapse(path)
    this.#live.set(this.tree.open())
    this.#changed()
  }

  sort(order: Order): void {
    this.tree.sort(order)
    this.#changed()
  }

  /** Lists all that is shown again. */
  refresh(): void {
    for (const path of this.tree.open()) void this.#list(path)
  }

  close(): void {
    this.#live.close()
    for (const { abort } of this.#listings.values()) abort.abort()
    if (this.#frame !== undefined) cancelAnimationFrame(this.#frame)
  }

  /** Watches, then lists; lists at once what cannot be watched in time. */
  #begin(path: string): void {
    this.#live.set(this.tree.open())
    this.#changed()
    if (this.#live.has(path)) return void this.#list(path)
    const delay = this.#live.wants(path) ? WATCH_MS : 0
    setTimeout(() => !this.#live.has(path) && void this.#list(path), delay)
  }

  async #list(path: string): Promise<void> {
    if (!this.tree.isOpen(path)) return
    this.#listings.get(path)?.abort.abort()
    const listing: Listing = { abort: new AbortController(), held: [] }
    this.#listings.set(path, listing)
    const { signal } = listing.abort
    try {
      const entries = await this.#api.list(path, signal)
      if (signal.aborted) return
      this.tree.setEntries(path, entries)
      this.#live.set(this.tree.open())
    } catch (error) {
      if (signal.aborted) return
      this.tree.fail(path, textOf(error))
    }
    this.#listings.delete(path)
    if (listing.held.length >= MAX_HELD) return void this.#list(path)
    for (const event of listing.held) this.#apply(path, event)
    this.#changed()
  }

  #take(directory: string, event: FilesystemEvent): void {
    const listing = this.#listings.get(directory)
    if (listing === undefined) this.#apply(directory, event)
    else if (listing.held.length < MAX_HELD) listing.held.push(event)
  }

  #apply(directory: string, event: FilesystemEvent): void {
    const { name, entry } = event
    if (name === '' || name.includes('/')) return
    const path = joinPath(directory, name)
    if (isGone(event)) this.tree.remove(directory, name)
    else if (entry !== undefined) this.tree.upsert(directory, toEntry(directory, { ...entry, name }))
    for (const listener of this.#fileListeners) listener(path, isGone(event))
    this.#changed()
  }

  #ended(directory: string, code: string): undefined {
    const gone = code === 'not_found'
    // It was removed or moved, which its parent shows.
    if (gone && directory !== this.tree.root) return void this.collapse(directory)
    void this.#list(directory)
    if (gone || code === 'resource_exhausted') this.#live.renew()
    return undefined
  }

  #changed(): void {
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = undefined
      for (const listener of this.#listeners) listener()
    })
  }
}
