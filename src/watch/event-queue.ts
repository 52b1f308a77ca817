import type { Hold } from '../budget/budget.ts'
import type { AppError } from '../errors.ts'
import type { RawEvent } from './inotify-event.ts'
import type { TreeNode } from './tree-node.ts'

/**
 * What a tree has to do next: handle an event of a node, compare itself with the disk, or end. `cause` is the number of
 * an earlier event that led to this item, and does not count as emitted while the item waits.
 */
export type QueueItem =
  | { readonly kind: 'event'; readonly seq: number; readonly node: TreeNode; readonly event: RawEvent }
  | { readonly kind: 'rescan'; readonly seq: number; readonly cause?: number }
  | { readonly kind: 'end'; readonly seq: number; readonly cause: number; readonly error: AppError }

type Rescan = Extract<QueueItem, { readonly kind: 'rescan' }>

/**
 * Events that may wait in one tree while it arms a directory; past it they are dropped and the tree compares itself
 * instead. Some 50 MB.
 */
const MAX_QUEUED = 262_144

/** Handled items that are kept before the array is cut. */
const MAX_HANDLED = 16_384

/**
 * How far behind its first half the second half of a rename is looked for. The kernel puts them one after the other.
 */
const MAX_ARRIVAL_DISTANCE = 256

/** Bytes of an item with its event, in addition to the name. */
const ITEM_BYTES = 200

/** The waiting events of one tree, in the kernel's order. */
export class EventQueue {
  /** Takes the memory of the items. */
  readonly #hold: Hold
  #bytes = 0
  #items: QueueItem[] = []
  #head = 0
  #sorted = true
  /** The causes of the waiting items that have one: of one comparison and of the end. */
  #causes: number[] = []
  /** A comparison waits among the items. */
  #compares = false
  /** All later comparisons, merged into one, which is queued once the first one is taken. */
  #nextRescan: Required<Rescan> | undefined

  /** @param hold is never released here. */
  constructor(hold: Hold) {
    this.#hold = hold
  }

  get length(): number {
    return this.#items.length - this.#head
  }

  /**
   * Puts an item where its number belongs: what was held while a directory was armed may be older than what waits
   * already. However many comparisons are asked for, two wait: the first keeps its place, so that each is made some
   * time, and all others are one after it.
   */
  push(item: QueueItem): void {
    if (item.kind === 'rescan') {
      if (this.#compares) return void this.#mergeRescan(item)
      this.#compares = true
    }
    const bytes = bytesOf(item)
    if (this.length >= MAX_QUEUED || !this.#hold.tryGrow(bytes)) {
      this.#sort()
      const oldest = this.#items[this.#head]
      const cause = oldest === undefined ? item.seq : this.floorOf(oldest)
      this.clear()
      this.#items.push({ kind: 'rescan', seq: item.seq, cause })
      this.#causes.push(cause)
      this.#compares = true
      return
    }
    this.#bytes += bytes
    const cause = causeOf(item)
    if (cause !== undefined) this.#causes.push(cause)
    const last = this.#items.at(-1)
    if (this.length > 0 && last !== undefined && last.seq > item.seq) this.#sorted = false
    this.#items.push(item)
  }

  shift(): QueueItem | undefined {
    this.#sort()
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    this.#head++
    const bytes = Math.min(bytesOf(item), this.#bytes)
    this.#bytes -= bytes
    this.#hold.shrink(bytes)
    const cause = causeOf(item)
    const next = item.kind === 'rescan' ? this.#nextRescan : undefined
    if (item.kind === 'rescan') {
      this.#nextRescan = undefined
      this.#compares = false
    }
    if (cause !== undefined) this.#causes.splice(this.#causes.indexOf(cause), 1)
    if (this.#head === this.#items.length) this.clear()
    else if (this.#head > MAX_HANDLED) this.#cut()
    if (next !== undefined) this.push(next)
    return item
  }

  /** Number of the oldest event that is not emitted completely before this item, which is the oldest, was handled. */
  floorOf(item: QueueItem): number {
    return Math.min(item.seq, causeOf(item) ?? item.seq, this.#nextRescan?.cause ?? item.seq, ...this.#causes)
  }

  /** Whether an event for which `holds` is true comes soon. */
  someSoon(holds: (event: RawEvent) => boolean): boolean {
    this.#sort()
    const end = Math.min(this.#items.length, this.#head + MAX_ARRIVAL_DISTANCE)
    for (let at = this.#head; at < end; at++) {
      const item = this.#items[at]
      if (item?.kind === 'event' && holds(item.event)) return true
    }
    return false
  }

  clear(): void {
    this.#hold.shrink(this.#bytes)
    this.#bytes = 0
    this.#items = []
    this.#head = 0
    this.#sorted = true
    this.#causes = []
    this.#compares = false
    this.#nextRescan = undefined
  }

  #mergeRescan({ seq, cause = seq }: Rescan): void {
    const { seq: waits, cause: oldest } = this.#nextRescan ?? { seq, cause }
    this.#nextRescan = { kind: 'rescan', seq: Math.max(waits, seq), cause: Math.min(oldest, cause) }
  }

  #cut(): void {
    this.#items = this.#items.slice(this.#head)
    this.#head = 0
  }

  #sort(): void {
    if (this.#sorted) return
    this.#cut()
    this.#items.sort((a, b) => a.seq - b.seq)
    this.#sorted = true
  }
}

function bytesOf(item: QueueItem): number {
  return ITEM_BYTES + (item.kind === 'event' ? item.event.name.length : 0)
}

function causeOf(item: QueueItem): number | undefined {
  return item.kind === 'event' ? undefined : item.cause
}
