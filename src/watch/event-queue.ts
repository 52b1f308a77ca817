import type { AppError } from '../errors.ts'
import type { RawEvent } from './inotify-event.ts'
import type { TreeNode } from './tree-node.ts'

/** What a tree has to do next: handle an event of a node, compare itself with the disk, or end. */
export type QueueItem =
  | { readonly kind: 'event'; readonly seq: number; readonly node: TreeNode; readonly event: RawEvent }
  | { readonly kind: 'rescan'; readonly seq: number }
  | { readonly kind: 'end'; readonly seq: number; readonly error: AppError }

/** Events that may wait in one tree while it arms a directory; past it they are dropped and the tree compares itself instead. Some 50 MB. */
const MAX_QUEUED = 262_144

/** Handled items that are kept before the array is cut. */
const MAX_HANDLED = 16_384

/** How far behind its first half the second half of a rename is looked for. The kernel puts them one after the other. */
const MAX_ARRIVAL_DISTANCE = 256

/** The waiting events of one tree, in the kernel's order. */
export class EventQueue {
  #items: QueueItem[] = []
  #head = 0
  #sorted = true

  /** Number of waiting items. */
  get length(): number {
    return this.#items.length - this.#head
  }

  /** Puts an item where its number belongs: what was held while a directory was armed may be older than what waits already. */
  push(item: QueueItem): void {
    if (this.length >= MAX_QUEUED) {
      this.clear()
      this.#items.push({ kind: 'rescan', seq: item.seq })
      return
    }
    const last = this.#items.at(-1)
    if (this.length > 0 && last !== undefined && last.seq > item.seq) this.#sorted = false
    this.#items.push(item)
  }

  /** Takes the oldest item. */
  shift(): QueueItem | undefined {
    this.#sort()
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    this.#head++
    if (this.#head === this.#items.length) this.clear()
    else if (this.#head > MAX_HANDLED) this.#cut()
    return item
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

  /** Drops everything. */
  clear(): void {
    this.#items = []
    this.#head = 0
    this.#sorted = true
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
