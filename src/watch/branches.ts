import { inSlices } from '../lib/steps.ts'
import { createTimeSlice } from '../lib/time-slice.ts'
import { cancelTreeTask, createTreeTask } from '../native/tree-task.ts'
import type { Exclude } from './exclude.ts'
import type { Armed, Inotify } from './inotify.ts'
import { type NodeSink, type Settlement, TreeNode } from './tree-node.ts'
import type { TreeOptions } from './tree-options.ts'

/** What the branches of a tree need; the tree releases the hold. */
interface BranchesOptions extends Pick<TreeOptions, 'inotify' | 'path' | 'shown' | 'recursive' | 'exclude' | 'hold'> {
  readonly sink: NodeSink
  /**
   * Events were lost while a directory was armed: the tree must compare itself with the disk after the event of that
   * number.
   */
  readonly onLost: (seq: number) => void
}

/** Watches directories for one tree and makes its nodes of them. */
export class Branches {
  readonly #options: BranchesOptions
  readonly #task = createTreeTask()
  #closed = false

  constructor(options: BranchesOptions) {
    this.#options = options
  }

  /**
   * Arms a directory and what is below it, and hangs it into the tree under that name. Undefined: it is gone. Rejects
   * as `Inotify.arm` does, and with `budget_spent`; nothing is left behind then.
   * @param rootWatch watch of the root; undefined: this is the root.
   */
  async adopt(
    name: string,
    parent: TreeNode | undefined,
    rootWatch: number | undefined,
  ): Promise<TreeNode | undefined> {
    const node = await this.#arm(name, parent, rootWatch)
    if (node === undefined || this.#options.exclude === undefined) return node
    try {
      await this.#adoptIncluded(node, this.#options.exclude, rootWatch ?? node.watch)
      return node
    } catch (error) {
      this.drop(node)
      throw error
    }
  }

  /** Takes a node, and all below it, out of the tree and releases what they hold. */
  drop(node: TreeNode): void {
    node.dropped = true
    if (node.parent?.children.get(node.name) === node) node.parent.children.delete(node.name)
    void releaseBranch(this.#options.inotify, node)
  }

  /** What is being adopted ends early, and nothing is counted any more. */
  close(): void {
    this.#closed = true
    cancelTreeTask(this.#task)
  }

  /** With what is left out nothing is armed at once, so that no watch is put on any of it. */
  async #arm(name: string, parent: TreeNode | undefined, rootWatch: number | undefined) {
    const { inotify, path: root, shown, recursive, exclude, hold, onLost } = this.#options
    const start = Buffer.from(parent?.pathOf(name) ?? '', 'latin1')
    const deep = recursive && exclude === undefined
    const armed = await inotify.arm({ root, start, recursive: deep, rootWatch, shown, hold, task: this.#task })
    const settlement = { seq: Number.POSITIVE_INFINITY }
    let lost = false
    try {
      return await this.#grow(armed, { name, parent, settlement })
    } finally {
      lost = armed.done().lost
      settlement.seq = await inotify.caughtUp()
      if (lost) onLost(settlement.seq)
    }
  }

  /** Takes out of the list what is excluded, and adopts the other directories. */
  async #adoptIncluded(node: TreeNode, exclude: Exclude, rootWatch: number): Promise<void> {
    const slice = createTimeSlice()
    await node.unpack(slice)
    for (const [name, isDirectory] of node.entries) {
      if (this.#closed) return
      const judged = inSlices(exclude(node.pathOf(name), isDirectory), slice)
      const isLeftOut: boolean = judged instanceof Promise ? await judged : judged
      if (isLeftOut) node.forget(name)
      else if (isDirectory && this.#options.recursive) await this.adopt(name, node, rootWatch)
      const wait = slice.next()
      if (wait !== undefined) await wait
    }
  }

  readonly #charge = (bytes: number): void => {
    if (this.#closed) return
    if (bytes > 0) this.#options.hold.grow(bytes)
    else this.#options.hold.shrink(-bytes)
  }

  /** Makes nodes of all directories that were just watched, and claims them. Undefined: there were none. */
  async #grow(
    armed: Armed,
    { name, parent, settlement }: { name: string; parent: TreeNode | undefined; settlement: Settlement },
  ): Promise<TreeNode | undefined> {
    const slice = createTimeSlice()
    /** The node that was made last, and those above it up to the first one: the directories come depth first. */
    const line: TreeNode[] = []
    try {
      for (const { watch, names, name: found, depth } of armed.directories) {
        line.length = Math.min(line.length, depth)
        const above = line.at(-1) ?? parent
        const own = depth === 0 ? name : found
        const { sink } = this.#options
        const node = new TreeNode({ watch, names, name: own, parent: above, sink, settlement, charge: this.#charge })
        above?.children.set(own, node)
        line.push(node)
        armed.claim(watch, node)
        const wait = slice.next()
        if (wait !== undefined) await wait
      }
    } catch (error) {
      if (line[0] !== undefined) this.drop(line[0])
      throw error
    }
    return line[0]
  }
}

/** Takes all listeners of a branch off. */
async function releaseBranch(inotify: Inotify, branch: TreeNode): Promise<void> {
  const slice = createTimeSlice()
  for (const node of branch.walk()) {
    inotify.release(node.watch, node)
    node.release()
    const wait = slice.next()
    if (wait !== undefined) await wait
  }
}
