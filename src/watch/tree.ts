import { AppError } from '../errors.ts'
import { EventType } from '../gen/filesystem/filesystem_pb.js'
import { inSlices } from '../lib/steps.ts'
import { createTimeSlice, type TimeSlice } from '../lib/time-slice.ts'
import { loopTurns } from '../lib/turns.ts'
import { goneError } from './arm-error.ts'
import { Branches } from './branches.ts'
import { toChange, typesOf } from './change.ts'
import { emitContents } from './contents.ts'
import { type ChangeSink, emitDifferences, emitRemoved } from './differences.ts'
import { EventQueue, type QueueItem } from './event-queue.ts'
import { appears, goes, IN, isOfDirectory, isUnnamed, type RawEvent } from './inotify-event.ts'
import { Renames } from './renames.ts'
import type { TreeNode } from './tree-node.ts'
import type { TreeOptions } from './tree-options.ts'
import { Watermark } from './watermark.ts'

/**
 * What one watcher sees: a tree of watched directories that follows what happens to them. Events are handled one after
 * the other, in the kernel's order; one that has to wait (a new directory is armed, the second half of a rename may
 * still come) delays the rest of its tree, and no other.
 *
 * A directory is armed by its path, after the event that reported it: by then the path may mean another one. The events
 * that made it so have come until the arming was settled, and each of them has what it concerns dropped or armed anew.
 */
export class WatchTree {
  readonly #options: TreeOptions
  readonly #forgetOverflow: () => void
  #root: TreeNode | undefined
  readonly #queue: EventQueue
  #working = false
  #over = false
  readonly #handled = new Watermark()
  /** Number of the event that is handled now: the cause of what is put into the queue. */
  #handling = 0
  readonly #renames: Renames
  readonly #branches: Branches

  /** Nothing is watched before `start`. */
  constructor(options: TreeOptions) {
    const { inotify, path, shown, recursive, exclude, hold } = options
    this.#options = options
    this.#queue = new EventQueue(hold)
    this.#branches = new Branches({
      ...{ inotify, path, shown, recursive, exclude, hold },
      sink: (node, event) => this.#push({ kind: 'event', seq: event.seq, node, event }),
      onLost: (seq) => {
        options.onLoss?.()
        this.#rescanLater(seq)
      },
    })
    const drop = (node: TreeNode) => this.#branches.drop(node)
    this.#renames = new Renames({ inotify, queue: this.#queue, drop, excludes: exclude !== undefined })
    this.#forgetOverflow = inotify.onOverflow({
      overflowed: (seq) => {
        options.onLoss?.()
        this.#push({ kind: 'rescan', seq })
      },
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
    if (this.#over && this.#root !== undefined) this.#branches.drop(this.#root)
    else void this.#work()
  }

  /** Resolves when every change that has happened until this call was reported. */
  async settled(): Promise<void> {
    const seq = await this.#options.inotify.caughtUp()
    if (this.#working && !this.#over) await this.#handled.wait(seq)
  }

  /**
   * A directory has appeared without an event: made by another machine.
   * @param path one character per byte. False if the tree does not reach there.
   */
  async appeared(path: string): Promise<boolean> {
    const slash = path.lastIndexOf('/')
    const node = this.#root?.find(path.slice(0, Math.max(slash, 0)))
    const seq = await this.#options.inotify.caughtUp()
    if (node === undefined || node.isDropped) return false
    node.notify({ seq, watch: node.watch, mask: IN.CREATE | IN.ISDIR, cookie: 0, name: path.slice(slash + 1) })
    return true
  }

  /** Releases everything; nothing is emitted any more. Idempotent. */
  close(): void {
    if (this.#over) return
    this.#over = true
    this.#branches.close()
    this.#queue.clear()
    this.#forgetOverflow()
    if (this.#root !== undefined) this.#branches.drop(this.#root)
    this.#renames.clear()
    this.#options.hold.release()
    this.#handled.reached(Number.POSITIVE_INFINITY)
  }

  #push(item: QueueItem): void {
    if (this.#over) return
    this.#queue.push(item)
    if (this.#working) return
    this.#working = true
    // One event may be for hundreds of trees.
    void Promise.resolve(loopTurns.turn(this)).then(() => this.#work())
  }

  async #work(): Promise<void> {
    this.#working = true
    const slice = createTimeSlice()
    try {
      for (let item = this.#queue.shift(); item !== undefined; item = this.#queue.shift()) {
        this.#handling = this.#queue.floorOf(item)
        this.#handled.reached(this.#handling - 1)
        const wait = this.#handleItem(item, slice)
        if (wait !== undefined) await wait
        const turn = slice.next()
        if (turn !== undefined) await turn
      }
    } catch (error) {
      const message = `watching ${this.#options.shown} failed`
      this.#end(error instanceof AppError ? error : new AppError('internal', message, { cause: error }))
    } finally {
      this.#working = false
      this.#handled.reached(Number.POSITIVE_INFINITY)
    }
  }

  #end(error: AppError | undefined): void {
    if (this.#over || error === undefined) return
    this.close()
    this.#options.onEnd(error)
  }

  readonly #emit: ChangeSink['emit'] = (type, path) => {
    if (!this.#over) this.#options.onChange(toChange(type, path))
  }

  #handleItem(item: QueueItem, slice: TimeSlice): Promise<void> | void {
    if (item.kind !== 'event') return item.kind === 'rescan' ? this.#rescan(slice) : this.#end(item.error)
    const { node, event } = item
    return node.unpack(slice)?.then(() => this.#handle(node, event, slice)) ?? this.#handle(node, event, slice)
  }

  #handle(node: TreeNode, event: RawEvent, slice: TimeSlice): Promise<void> | void {
    const { name, mask, seq, cookie } = event
    if (node.isDropped) return this.#renames.forget(cookie)
    if (name === '') return this.#handleSelf(node, event)
    const known = node.entries.has(name)
    if (!known && isUnnamed(event)) return undefined
    // The list of entries was read after this happened, and what it says was or will be reported.
    if (seq <= node.settled && (known ? appears(event) : goes(event))) {
      this.#renames.forget(cookie)
      return (mask & IN.MOVED_TO) === 0 ? undefined : this.#verify(node, event, slice)
    }
    const go = (leftOut: boolean) => (leftOut ? this.#renames.forget(cookie) : this.#report(node, event, slice))
    const { exclude } = this.#options
    const leftOut = exclude !== undefined && inSlices(exclude(node.pathOf(name), isOfDirectory(event)), slice)
    return leftOut instanceof Promise ? leftOut.then(go) : go(leftOut)
  }

  /** Reports an event of an entry that is not left out, and follows what it says. */
  #report(node: TreeNode, event: RawEvent, slice: TimeSlice): Promise<void> | void {
    const { name, mask } = event
    const path = node.pathOf(name)
    for (const type of typesOf(mask)) this.#emit(type, path)
    const isDirectory = isOfDirectory(event)
    if (appears(event)) node.learn(name, isDirectory)
    if (goes(event)) node.forget(name)
    if (!isDirectory || !this.#options.recursive) return undefined
    if (appears(event)) return this.#appeared(node, event, slice)
    return goes(event) ? this.#gone(node, event) : undefined
  }

  /** What happens to a directory itself is reported by its parent; only the root has none. */
  #handleSelf(node: TreeNode, { mask, seq }: RawEvent) {
    // The directory that the mount has covered is not watched yet.
    if (node !== this.#root) {
      if ((mask & IN.UNMOUNT) !== 0) this.#push({ kind: 'rescan', seq })
      return
    }
    for (const type of typesOf(mask)) this.#emit(type, '')
    this.#end(goneError(mask, this.#options.shown))
  }

  async #appeared(parent: TreeNode, event: RawEvent, slice: TimeSlice): Promise<void> {
    const { name, cookie, mask, seq } = event
    const replaced = parent.children.get(name)
    if (replaced !== undefined) this.#branches.drop(replaced)
    const moved = (mask & IN.MOVED_TO) === 0 ? undefined : this.#renames.take(cookie)
    if (moved === undefined) {
      const node = await this.#adoptBelow(name, parent)
      if (node !== undefined) await this.#emitContents(node, undefined, slice)
    } else {
      moved.name = name
      moved.parent = parent
      parent.children.set(name, moved)
      await this.#emitContents(moved, seq, slice)
    }
    // The two may have been exchanged (RENAME_EXCHANGE in rename(2)), which looks like two renames one after the other.
    if (replaced !== undefined) this.#rescanLater(await this.#options.inotify.caughtUp())
  }

  /**
   * A directory was renamed to a name that was known: to the one that is watched there, or after that over it, which
   * was empty.
   */
  async #verify(parent: TreeNode, event: RawEvent, slice: TimeSlice): Promise<void> {
    const { name } = event
    const before = parent.children.get(name)
    if (!isOfDirectory(event) || !this.#options.recursive) return
    const after = await this.#adoptBelow(name, parent)
    if (before !== undefined) this.#branches.drop(before)
    if (after !== undefined) await emitDifferences(before, after, { emit: this.#emit, slice })
  }

  #emitContents(node: TreeNode, renamed: number | undefined, slice: TimeSlice): Promise<void> {
    const renew = (name: string, parent: TreeNode) => {
      const child = parent.children.get(name)
      if (child !== undefined) this.#branches.drop(child)
      return this.#adoptBelow(name, parent)
    }
    return emitContents(node, renamed, {
      ...{ emit: this.#emit, slice, renew, recursive: this.#options.recursive },
      isOver: () => this.#over,
    })
  }

  /**
   * A directory was removed, or renamed: where to, a later event says, if it is still in the tree (contract C34, C38).
   */
  #gone(parent: TreeNode, { name, mask, cookie, seq }: RawEvent): Promise<void> | undefined {
    const node = parent.children.get(name)
    if (node === undefined) return undefined
    parent.children.delete(name)
    if ((mask & IN.MOVED_FROM) === 0 || seq <= node.settled) {
      this.#branches.drop(node)
      return undefined
    }
    return this.#renames.begin(cookie, node)
  }

  /** Arms a directory that an event has reported. Undefined: it is gone already, which its own events report. */
  async #adoptBelow(name: string, parent: TreeNode): Promise<TreeNode | undefined> {
    try {
      const node = await this.#adopt(name, parent)
      if (node !== undefined && this.#over) this.#branches.drop(node)
      return this.#over ? undefined : node
    } catch (error) {
      if (!(error instanceof AppError) || error.kind !== 'not_found') throw error
      // The root is not where it was. Its own events report that better, if there are any.
      this.#push({ kind: 'end', seq: await this.#options.inotify.caughtUp(), cause: this.#handling, error })
      return undefined
    }
  }

  #adopt(name: string, parent: TreeNode | undefined) {
    return this.#branches.adopt(name, parent, this.#root?.watch)
  }

  /** What is handled now is reported completely only with the comparison, which comes after the events up to `seq`. */
  #rescanLater(seq: number): void {
    this.#push({ kind: 'rescan', seq, cause: this.#handling })
  }

  /** Events were lost: everything is armed again, and what differs from what was known is reported (contract C36). */
  async #rescan(slice: TimeSlice): Promise<void> {
    const before = this.#root
    if (before === undefined) return
    this.#renames.clear()
    const sink = { emit: this.#emit, slice }
    try {
      const after = await this.#adopt('', undefined)
      this.#root = after
      this.#branches.drop(before)
      if (after === undefined) return
      if (this.#over) return this.#branches.drop(after)
      await emitDifferences(before, after, sink)
    } catch (error) {
      if (!(error instanceof AppError) || error.kind !== 'not_found') throw error
      await emitRemoved(before, sink)
      this.#emit(EventType.REMOVE, '')
      throw error
    }
  }
}
