import type { RawEvent } from './inotify-event.ts'
import type { TreeNode } from './tree-node.ts'

/** What a tree has to do next: handle an event of a node, or compare itself with the disk. */
export type QueueItem =
  | { readonly kind: 'event'; readonly node: TreeNode; readonly event: RawEvent }
  | { readonly kind: 'rescan'; readonly event: { readonly seq: number } }

/** Events that may wait in one tree while it arms a directory; past it they are dropped and the tree compares itself instead. */
const MAX_QUEUED = 262_144

/** The waiting events of one tree, in the kernel's order. */
export class EventQueue {
  #items: QueueItem[] = []
  #head = 0

  /** Number of waiting items. */
  get length(): number {
    return this.#items.length - this.#head
  }

  /** Puts an item where its number belongs: what was held while a directory was armed may be older than what waits already. */
  push(item: QueueItem): void {
    if (this.length >= MAX_QUEUED) {
      this.clear()
      this.#items.push({ kind: 'rescan', event: { seq: item.event.seq } })
      return
    }
    const last = this.#items.at(-1)
    this.#items.push(item)
    if (this.length > 1 && last !== undefined && last.event.seq > item.event.seq) this.#sort()
  }

  /** Takes the oldest item. */
  shift(): QueueItem | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    this.#head++
    if (this.#head === this.#items.length) this.clear()
    return item
  }

  /** Whether an event for which `holds` is true waits. */
  some(holds: (event: RawEvent) => boolean): boolean {
    for (let at = this.#head; at < this.#items.length; at++) {
      const item = this.#items[at]
      if (item?.kind === 'event' && holds(item.event)) return true
    }
    return false
  }

  /** Drops everything. */
  clear(): void {
    this.#items = []
    this.#head = 0
  }

  #sort(): void {
    this.#items = this.#items.slice(this.#head).sort((a, b) => a.event.seq - b.event.seq)
    this.#head = 0
  }
}
