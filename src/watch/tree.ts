import { setImmediate } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import { EventType } from '../gen/filesystem/filesystem_pb.js'
import type { WatchedDirectory } from '../native/watched-tree.ts'
import { EventQueue, type QueueItem } from './event-queue.ts'
import type { Armed, Inotify } from './inotify.ts'
import { IN, type RawEvent } from './inotify-event.ts'
import { TreeNode } from './tree-node.ts'

/** A change below the watched directory. */
export interface Change {
  /** Relative to the watched directory, `.` for itself. */
  readonly name: string
  readonly type: EventType
}

/** What a tree needs. */
export interface TreeOptions {
  readonly inotify: Inotify
  /** Real path of the directory, as bytes. */
  readonly path: Buffer
  /** The path as the client named it, for messages. */
  readonly shown: string
  readonly recursive: boolean
  readonly onChange: (change: Change) => void
  /** The tree can tell nothing more: the directory is gone, or the kernel's limits are reached. Called once, at most. */
  readonly onEnd: (error: AppError) => void
}

/** Kernel bits and what clients are told for them, in the order in which one event with several is told (contract C28). */
const kinds: readonly (readonly [number, EventType])[] = [
  [IN.CREATE | IN.MOVED_TO, EventType.CREATE],
  [IN.MOVED_FROM | IN.MOVE_SELF, EventType.RENAME],
  [IN.ATTRIB, EventType.CHMOD],
  [IN.MODIFY, EventType.WRITE],
  [IN.DELETE | IN.DELETE_SELF, EventType.REMOVE],
]

/** Events handled before other work gets a turn; about 2 ms. */
const EVENTS_PER_TURN = 1_000

/**
 * What one watcher sees: a tree of watched directories that follows what happens to them. Events are handled one after the
 * other, in the kernel's order; one that has to wait (a new directory is armed, the second half of a rename may still
 * come) holds up the rest of its tree, and no other.
 */
export class WatchTree {
  readonly #options: TreeOptions
  readonly #forgetOverflow: () => void
  #root: TreeNode | undefined
  readonly #queue = new EventQueue()
  #working = false
  #over = false
  /** Directories that were renamed, by cookie, until their new name comes. */
  readonly #moving = new Map<number, TreeNode>()

  /** Nothing is watched before `start`. */
  constructor(options: TreeOptions) {
    this.#options = options
    this.#forgetOverflow = options.inotify.onOverflow({
      overflowed: (seq) => this.#push({ kind: 'rescan', event: { seq } }),
    })
  }

  /** Arms everything. Rejects with AppError, with nothing left behind. */
  async start(): Promise<void> {
    this.#working = true
    try {
      this.#root = await this.#adopt('', undefined)
    } catch (error) {
      this.close()
      throw error
    }
    if (this.#over) this.#drop(this.#root)
    this.#working = false
    void this.#work()
  }

  /** Resolves when every change that has happened so far was told. */
  async settled(): Promise<void> {
    await this.#options.inotify.caughtUp()
    while (this.#working || this.#queue.length > 0) await setImmediate()
  }

  /** Releases everything. Idempotent. */
  close(): void {
    if (this.#over) return
    this.#over = true
    this.#queue.clear()
    this.#forgetOverflow()
    if (this.#root !== undefined) this.#drop(this.#root)
    for (const node of this.#moving.values()) this.#drop(node)
    this.#moving.clear()
  }

  #push(item: QueueItem): void {
    if (this.#over) return
    this.#queue.push(item)
    if (!this.#working) void this.#work()
  }

  async #work(): Promise<void> {
    this.#working = true
    try {
      let handled = 0
      for (let item = this.#queue.shift(); item !== undefined; item = this.#queue.shift()) {
        const wait = item.kind === 'rescan' ? this.#rescan() : this.#handle(item.node, item.event)
        if (wait !== undefined) await wait
        if (++handled % EVENTS_PER_TURN === 0) await setImmediate()
      }
    } catch (error) {
      this.#end(error)
    } finally {
      this.#working = false
    }
  }

  #end(error: unknown): void {
    if (this.#over) return
    this.close()
    this.#options.onEnd(
      error instanceof AppError ? error : new AppError('internal', 'watching failed', { cause: error }),
    )
  }

  #tell(type: EventType, path: string): void {
    this.#options.onChange({ name: path === '' ? '.' : Buffer.from(path, 'latin1').toString(), type })
  }

  #handle(node: TreeNode, event: RawEvent): Promise<void> | undefined {
    if (node.dropped) return undefined
    if (event.name === '') return this.#handleSelf(node, event)
    const { name, mask, seq } = event
    const known = node.entries.has(name)
    const appears = (mask & (IN.CREATE | IN.MOVED_TO)) !== 0
    const goes = (mask & (IN.DELETE | IN.MOVED_FROM)) !== 0
    // The list of entries was read after this happened, and what it says was or will be told.
    if (seq <= node.settled && ((appears && known) || (goes && !known))) return undefined
    const path = node.pathOf(name)
    for (const [bits, type] of kinds) if ((mask & bits) !== 0) this.#tell(type, path)
    const isDirectory = (mask & IN.ISDIR) !== 0
    if (appears) node.entries.set(name, isDirectory)
    if (goes) node.entries.delete(name)
    if (!isDirectory || !this.#options.recursive) return undefined
    if (appears) return this.#appeared(node, event)
    return goes ? this.#gone(node, event) : undefined
  }

  /** What happens to a directory itself is told by its parent; only the root has none. */
  #handleSelf(node: TreeNode, { mask }: RawEvent): undefined {
    if (node !== this.#root) return undefined
    for (const [bits, type] of kinds) if ((mask & bits) !== 0) this.#tell(type, '')
    if ((mask & (IN.DELETE_SELF | IN.MOVE_SELF | IN.UNMOUNT | IN.IGNORED)) === 0) return undefined
    const what = (mask & IN.MOVE_SELF) !== 0 ? 'moved' : (mask & IN.UNMOUNT) !== 0 ? 'unmounted' : 'removed'
    this.#end(new AppError('not_found', `the watched directory ${this.#options.shown} was ${what}`))
    return undefined
  }

  #appeared(parent: TreeNode, { name, cookie, mask }: RawEvent): Promise<void> | undefined {
    const replaced = parent.children.get(name)
    if (replaced !== undefined) this.#drop(replaced)
    const moved = (mask & IN.MOVED_TO) !== 0 ? this.#moving.get(cookie) : undefined
    if (moved === undefined) return this.#appearedNew(parent, name)
    this.#moving.delete(cookie)
    moved.name = name
    moved.parent = parent
    parent.children.set(name, moved)
    this.#tellContents(moved)
    return undefined
  }

  async #appearedNew(parent: TreeNode, name: string): Promise<void> {
    try {
      const node = await this.#adopt(name, parent)
      if (this.#over) return this.#drop(node)
      this.#tellContents(node)
    } catch (error) {
      // It is gone again already, which its own events tell.
      if (!(error instanceof AppError) || error.kind === 'resource_exhausted') throw error
    }
  }

  /** Everything in a directory that has just appeared is new as well (contract C31). */
  #tellContents(node: TreeNode): void {
    for (const name of node.entries.keys()) {
      this.#tell(EventType.CREATE, node.pathOf(name))
      const child = node.children.get(name)
      if (child !== undefined) this.#tellContents(child)
    }
  }

  /** A directory was removed, or renamed: where to, a later event tells, if it is still in the tree. */
  #gone(parent: TreeNode, { name, mask, cookie }: RawEvent): Promise<void> | undefined {
    const node = parent.children.get(name)
    if (node === undefined) return undefined
    parent.children.delete(name)
    if ((mask & IN.MOVED_FROM) === 0) {
      this.#drop(node)
      return undefined
    }
    this.#moving.set(cookie, node)
    return this.#isArriving(cookie) ? undefined : this.#awaitArrival(cookie, node)
  }

  /** The kernel puts both halves into the queue together, so that the second is there once the queue was read. */
  async #awaitArrival(cookie: number, node: TreeNode): Promise<void> {
    await this.#options.inotify.caughtUp()
    if (this.#isArriving(cookie) || this.#over) return
    this.#moving.delete(cookie)
    this.#drop(node)
  }

  #isArriving(cookie: number): boolean {
    return this.#queue.some((event) => event.cookie === cookie && (event.mask & IN.MOVED_TO) !== 0)
  }

  /** Arms a directory and what is below it, and hangs it into the tree under that name. */
  async #adopt(name: string, parent: TreeNode | undefined): Promise<TreeNode> {
    const { inotify, recursive } = this.#options
    const armed = await inotify.arm(this.#bytesOf(parent?.pathOf(name) ?? ''), recursive)
    const nodes = this.#grow(armed, name, parent)
    const { lost } = armed.done()
    const settled = await inotify.caughtUp()
    for (const node of nodes.values()) node.settled = settled
    if (lost) this.#push({ kind: 'rescan', event: { seq: settled } })
    const top = nodes.get('')
    if (top === undefined)
      throw new AppError('not_found', `the watched directory ${this.#options.shown} does not exist any more`)
    return top
  }

  #grow(armed: Armed, name: string, parent: TreeNode | undefined): Map<string, TreeNode> {
    const nodes = new Map<string, TreeNode>()
    for (const directory of armed.directories) {
      const { own, above } = split(directory.path)
      const into = directory.path === '' ? parent : nodes.get(above)
      if (into === undefined && directory.path !== '') continue
      const node = this.#createNode(directory, directory.path === '' ? name : own, into)
      nodes.set(directory.path, node)
      armed.claim(directory.watch, node)
    }
    return nodes
  }

  #createNode({ watch, names }: WatchedDirectory, name: string, parent: TreeNode | undefined): TreeNode {
    const node = new TreeNode({
      watch,
      names,
      name,
      parent,
      sink: (at, event) => this.#push({ kind: 'event', node: at, event }),
    })
    parent?.children.set(name, node)
    return node
  }

  #bytesOf(path: string): Buffer {
    return Buffer.concat([this.#options.path, Buffer.from(path === '' ? '' : `/${path}`, 'latin1')])
  }

  #drop(node: TreeNode): void {
    for (const each of node.walk()) {
      each.dropped = true
      this.#options.inotify.release(each.watch, each)
    }
    if (node.parent?.children.get(node.name) === node) node.parent.children.delete(node.name)
  }

  /** Events were lost: everything is armed again, and what differs from what was known is told (contract C36). */
  async #rescan(): Promise<void> {
    const before = this.#root
    if (before === undefined) return
    const after = await this.#adopt('', undefined)
    this.#root = after
    if (this.#over) return this.#drop(after)
    this.#compare(before, after)
    this.#drop(before)
  }

  #compare(before: TreeNode | undefined, after: TreeNode): void {
    const known = before?.entries ?? new Map<string, boolean>()
    for (const name of known.keys()) if (!after.entries.has(name)) this.#tell(EventType.REMOVE, after.pathOf(name))
    for (const name of after.entries.keys()) {
      if (!known.has(name)) this.#tell(EventType.CREATE, after.pathOf(name))
      const child = after.children.get(name)
      if (child !== undefined) this.#compare(before?.children.get(name), child)
    }
  }
}

/** `a/b/` into its last name and the path of what it is in, with a slash at the end unless that is the root. */
function split(path: string): { readonly own: string; readonly above: string } {
  const slash = path.lastIndexOf('/', path.length - 2)
  return { own: path.slice(slash + 1, -1), above: path.slice(0, slash + 1) }
}
