import type { EventQueue } from './event-queue.ts'
import type { Inotify } from './inotify.ts'
import { IN } from './inotify-event.ts'
import type { TreeNode } from './tree-node.ts'

interface RenamesOptions {
  readonly inotify: Pick<Inotify, 'caughtUp'>
  readonly queue: EventQueue
  /** Releases a directory that has left the tree. */
  readonly drop: (node: TreeNode) => void
  /** The tree leaves something out: under another name that may be other entries of a directory. */
  readonly excludes: boolean
}

/** Directories of a tree that were renamed, until their new name comes. */
export class Renames {
  readonly #options: RenamesOptions
  /** By the cookie that pairs the two halves of a rename. */
  readonly #moving = new Map<number, TreeNode>()

  constructor(options: RenamesOptions) {
    this.#options = options
  }

  /**
   * A directory has lost its name. It is dropped when the queue was read and has no event of where it is now (contract
   * C38).
   */
  begin(cookie: number, node: TreeNode): Promise<void> | undefined {
    this.#moving.set(cookie, node)
    return this.#isArriving(cookie) ? undefined : this.#awaitArrival(cookie)
  }

  /** The directory that has got a new name; undefined: it comes from elsewhere, or is of no use there. */
  take(cookie: number): TreeNode | undefined {
    const node = this.#moving.get(cookie)
    this.#moving.delete(cookie)
    if (node === undefined || !this.#options.excludes) return node
    return void this.#options.drop(node)
  }

  /** It is of no use where it goes. */
  forget(cookie: number): void {
    const node = this.#moving.get(cookie)
    this.#moving.delete(cookie)
    if (node !== undefined) this.#options.drop(node)
  }

  clear(): void {
    for (const cookie of [...this.#moving.keys()]) this.forget(cookie)
  }

  /** The kernel puts both halves into its queue one after the other. */
  async #awaitArrival(cookie: number): Promise<void> {
    await this.#options.inotify.caughtUp()
    if (!this.#isArriving(cookie)) this.forget(cookie)
  }

  #isArriving(cookie: number): boolean {
    return this.#options.queue.someSoon((event) => event.cookie === cookie && (event.mask & IN.MOVED_TO) !== 0)
  }
}
