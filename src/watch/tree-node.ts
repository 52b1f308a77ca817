import type { TimeSlice } from '../lib/time-slice.ts'
import type { InotifyListener } from './inotify.ts'
import type { RawEvent } from './inotify-event.ts'

/** Takes the events of a node's directory. */
export type NodeSink = (node: TreeNode, event: RawEvent) => void

/** When the directories of one arming were read. */
export interface Settlement {
  /** Number of the last event that may speak of what the lists of entries had in them then. */
  seq: number
}

interface NodeInit {
  readonly watch: number
  /** Names as `watchTree` packs them. */
  readonly names: Buffer
  readonly sink: NodeSink
  readonly name: string
  readonly parent: TreeNode | undefined
  readonly settlement: Settlement
  /** Counts bytes that the node holds, negative: that it no longer holds. Throws AppError `budget_spent`. */
  readonly charge: (bytes: number) => void
}

/** A node with its maps and the listener of its watch, beside its names. */
const NODE_BYTES = 700

/** An entry in the map of names that were taken apart, beside its name. */
const ENTRY_BYTES = 80

/** Names that are taken apart in one go: some thousand, a millisecond. */
const MANY_NAMES_BYTES = 64 * 1024
const NAMES_AT_ONCE = 256

/** One watched directory in the tree of one watcher. Names are one character per byte. */
export class TreeNode implements InotifyListener {
  readonly watch: number
  /** Its children that are watched directories themselves. */
  readonly children = new Map<string, TreeNode>()
  name: string
  parent: TreeNode | undefined
  /** It has left the tree, and all below it with it. */
  dropped = false
  readonly #settlement: Settlement
  readonly #sink: NodeSink
  /** Taken apart when it is first needed: most directories never change. */
  #packed: Buffer | undefined
  #entries: Map<string, boolean> | undefined
  readonly #charge: (bytes: number) => void
  #bytes = 0

  constructor(init: NodeInit) {
    this.#charge = init.charge
    this.#count(NODE_BYTES + init.names.length)
    this.watch = init.watch
    this.name = init.name
    this.parent = init.parent
    this.#packed = init.names
    this.#sink = init.sink
    this.#settlement = init.settlement
  }

  /** Known entries: name, and whether it is a directory. */
  get entries(): ReadonlyMap<string, boolean> {
    return this.#unpacked()
  }

  /** There is such an entry now. */
  learn(name: string, isDirectory: boolean): void {
    const entries = this.#unpacked()
    if (!entries.has(name)) this.#count(ENTRY_BYTES + name.length)
    entries.set(name, isDirectory)
  }

  /** There is no such entry any more. */
  forget(name: string): void {
    if (this.#unpacked().delete(name)) this.#count(-ENTRY_BYTES - name.length)
  }

  /** Releases what it holds. Idempotent. */
  release(): void {
    this.#count(-this.#bytes)
  }

  /** Takes the names apart in slices if there are many; undefined: nothing is to be waited for. Rejects as `charge`. */
  unpack(slice: TimeSlice): Promise<void> | undefined {
    if (this.#packed === undefined || this.#packed.length < MANY_NAMES_BYTES) return undefined
    return this.#unpackMany(this.#packed, slice)
  }

  async #unpackMany(packed: Buffer, slice: TimeSlice): Promise<void> {
    const entries = new Map<string, boolean>()
    const names = namesIn(packed)
    for (let count = 1; ; count++) {
      const { done, value } = names.next()
      if (done) break
      entries.set(...value)
      const wait = count % NAMES_AT_ONCE === 0 ? slice.next() : undefined
      if (wait !== undefined) await wait
    }
    // It was taken apart at once meanwhile, and may have changed since.
    if (this.#packed !== undefined) this.#adopt(entries)
  }

  #unpacked(): Map<string, boolean> {
    return this.#entries ?? this.#adopt(new Map(namesIn(this.#packed ?? Buffer.alloc(0))))
  }

  #adopt(entries: Map<string, boolean>): Map<string, boolean> {
    this.#entries = entries
    this.#packed = undefined
    // Each name is packed with two more bytes, and those stay as long as a name that is a part of the text.
    this.#count(entries.size * ENTRY_BYTES)
    return entries
  }

  #count(bytes: number): void {
    this.#charge(bytes)
    this.#bytes += bytes
  }

  /**
   * The list of entries may include the effects of events up to this number, and those events may be about an earlier
   * directory of this name.
   */
  get settled(): number {
    return this.#settlement.seq
  }

  /** It has left the tree: events about it are ignored. */
  get isDropped(): boolean {
    for (let node: TreeNode | undefined = this; node !== undefined; node = node.parent) if (node.dropped) return true
    return false
  }

  /** Path from the root to an entry of this directory, or to itself (empty for the root). */
  pathOf(entry = ''): string {
    let path = entry
    for (let node: TreeNode = this; node.parent !== undefined; node = node.parent)
      path = path === '' ? node.name : `${node.name}/${path}`
    return path
  }

  /** The directory at a path below this one; empty: itself. */
  find(path: string): TreeNode | undefined {
    let node: TreeNode | undefined = this
    for (const name of path.split('/')) if (name !== '') node = node?.children.get(name)
    return node
  }

  notify(event: RawEvent): void {
    this.#sink(this, event)
  }

  /** This node and all below it. */
  *walk(): Generator<TreeNode> {
    const waiting: TreeNode[] = [this]
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      yield node
      for (const child of node.children.values()) waiting.push(child)
    }
  }
}

/** The entries of a block of names: each `d` or `f`, the name, a NUL. */
function* namesIn(packed: Buffer): Generator<[name: string, isDirectory: boolean], void> {
  const text = packed.toString('latin1')
  for (let at = 0; at < text.length; ) {
    const end = text.indexOf('\0', at)
    yield [text.slice(at + 1, end), text[at] === 'd']
    at = end + 1
  }
}
