import type { Hold } from '../budget/budget.ts'
import { errnoOf } from '../errors.ts'
import { createTimeSlice } from '../lib/time-slice.ts'
import type { Log } from '../log.ts'
import { close, openInotify, type Poll, poll, removeWatch } from '../native/index.ts'
import type { TreeTask } from '../native/tree-task.ts'
import type { WatchedDirectory } from '../native/watched-tree.ts'
import { armError } from './arm-error.ts'
import { EventFeed } from './event-feed.ts'
import { type Arming, HeldEvents } from './held-events.ts'
import { IN, type RawEvent } from './inotify-event.ts'
import { createWalk } from './walk.ts'

/** What has to do with one watched directory: a node in the tree of a watcher. */
export interface InotifyListener {
  /** An event of the directory, in the kernel's order. */
  notify(event: RawEvent): void
}

/** Is called when the kernel's queue overflowed. */
interface OverflowListener {
  overflowed(seq: number): void
}

/** What is to be watched. */
export interface ArmRequest {
  /** Real path, as bytes. */
  readonly root: Uint8Array
  /** Path of the directory below the root, as bytes; empty: the root itself. */
  readonly start: Uint8Array
  /** With all that is below it. */
  readonly recursive: boolean
  /**
   * Watch of the root, which distinguishes it from another directory that has taken its place; undefined: any will do.
   */
  readonly rootWatch: number | undefined
  /** The root as the client named it, for messages. */
  readonly shown: string
  /** Takes the memory of the lists while they are read. */
  readonly hold: Hold
  /** Of `createTreeTask`: once it is cancelled, nothing more is watched. */
  readonly task: TreeTask
}

/** Directories that were just watched. */
export interface Armed {
  /** Parents before children; to be read once. None at all: it was gone when its turn came. */
  readonly directories: Iterable<WatchedDirectory>
  /** Adds a listener to one of them, which gets at once what has happened there since before it was armed. */
  claim(watch: number, listener: InotifyListener): void
  /**
   * All that are wanted were claimed. `lost`: too much happened meanwhile, the directories must be compared with the
   * disk.
   */
  done(): { readonly lost: boolean }
}

/** Between reads that fail. */
const READ_PAUSE_MS = 1000

interface InotifyOptions {
  readonly log: Log
  /** The instance is opened after it has settled: the kernel's limits are read then. It never rejects. */
  readonly ready?: Promise<void>
}

/**
 * The daemon's one inotify instance. Directories are watched once, however many watchers want them, and released when
 * the last of their listeners leaves. The instance is opened with the first watch.
 */
export class Inotify {
  readonly #log: Log
  readonly #ready: Promise<void>
  readonly #byWatch = new Map<number, Set<InotifyListener>>()
  readonly #overflowListeners = new Set<OverflowListener>()
  readonly #held = new HeldEvents()
  /** Watches without listeners, to be removed once nothing is being armed. */
  readonly #removable = new Set<number>()
  #removing = false
  readonly #walk = createWalk((watch) => this.#mayRemove(watch))
  #instance: { readonly fd: number; readonly poll: Poll; readonly feed: EventFeed } | undefined
  #overflows = 0

  constructor({ log, ready }: InotifyOptions) {
    this.#log = log
    this.#ready = ready ?? Promise.resolve()
  }

  /** How often the kernel's queue has overflowed. */
  get overflows(): number {
    return this.#overflows
  }

  /** Directories that are watched at the moment. */
  get watches(): number {
    return this.#byWatch.size
  }

  /**
   * Watches a directory and, if recursive, all below it. The caller claims those that it wants, then calls `done`,
   * which releases the others. Rejects with AppError: not_found for a root that is not there, or not the same any more,
   * internal for one that cannot be watched, resource_exhausted when the kernel's limits are reached, budget_spent,
   * canceled with the task; everything of this call is undone then.
   */
  async arm(request: ArmRequest): Promise<Armed> {
    await this.#ready
    const { fd, feed } = this.#open(request.shown)
    const arming = this.#held.begin(feed.seq)
    try {
      const tree = await this.#walk(fd, request)
      return {
        directories: this.#offered(tree.directories),
        claim: (watch, listener) => this.#claim(watch, listener, arming),
        done: () => {
          this.#end(arming)
          return { lost: arming.lost }
        },
      }
    } catch (error) {
      this.#end(arming)
      throw error
    }
  }

  /** Takes a listener off; the last one releases the watch. */
  release(watch: number, listener: InotifyListener): void {
    const listeners = this.#byWatch.get(watch)
    if (listeners?.delete(listener) !== true || listeners.size > 0) return
    this.#byWatch.delete(watch)
    this.#mayRemove(watch)
    this.#removeUnused()
  }

  /** Notifies `listener` of overflows until the returned function is called. */
  onOverflow(listener: OverflowListener): () => void {
    this.#overflowListeners.add(listener)
    return () => this.#overflowListeners.delete(listener)
  }

  /**
   * Resolves with the number of the last event when everything that has happened until this call was handed to the
   * listeners.
   */
  async caughtUp(): Promise<number> {
    return this.#instance?.feed.caughtUp() ?? 0
  }

  /** Ends everything; listeners hear nothing more. */
  close(): void {
    if (this.#instance === undefined) return
    this.#instance.poll.close()
    this.#instance.feed.close()
    close(this.#instance.fd)
    this.#instance = undefined
  }

  #open(shown: string): { readonly fd: number; readonly feed: EventFeed } {
    if (this.#instance !== undefined) return this.#instance
    try {
      const fd = openInotify()
      const feed = new EventFeed({
        fd,
        onEvent: (event) => this.#dispatch(event),
        onFailure: (errno) => this.#failed(errno),
      })
      const watch = poll(fd, false, () => feed.readable())
      watch.start()
      this.#instance = { fd, poll: watch, feed }
      return this.#instance
    } catch (error) {
      throw armError(errnoOf(error) ?? 'EIO', shown)
    }
  }

  /** The same directories; each may be removed again unless it is claimed. */
  *#offered(directories: Iterable<WatchedDirectory>): Generator<WatchedDirectory> {
    for (const directory of directories) {
      this.#mayRemove(directory.watch)
      yield directory
    }
  }

  #claim(watch: number, listener: InotifyListener, arming: Arming): void {
    this.#removable.delete(watch)
    const listeners = this.#byWatch.get(watch)
    if (listeners === undefined) this.#byWatch.set(watch, new Set([listener]))
    else listeners.add(listener)
    for (const event of this.#held.of(watch, arming)) listener.notify(event)
  }

  #mayRemove(watch: number): void {
    if (!this.#byWatch.has(watch)) this.#removable.add(watch)
  }

  #end(arming: Arming): void {
    this.#held.end(arming)
    this.#removeUnused()
  }

  #removeUnused(): void {
    if (this.#removing || this.#held.active || this.#removable.size === 0) return
    this.#removing = true
    void this.#removeSome()
  }

  /** Not while anything is armed: a watch that is removed now may just have been given out again. */
  async #removeSome(): Promise<void> {
    const slice = createTimeSlice()
    for (const watch of this.#removable) {
      if (this.#held.active || this.#instance === undefined) break
      this.#removable.delete(watch)
      removeWatch(this.#instance.fd, watch)
      const wait = slice.next()
      if (wait !== undefined) await wait
    }
    this.#removing = false
  }

  /**
   * Unread events stay in the kernel. Reading is not repeated at once, as it may fail for ever and use a whole
   * processor. The directories are compared with the disk, so that no client misses changes.
   */
  #failed(errno: number): void {
    this.#log.error({ errno }, 'reading file events failed')
    const instance = this.#instance
    instance?.poll.stop()
    setTimeout(() => {
      if (instance === undefined || this.#instance !== instance) return
      instance.poll.start()
      this.#overflow(instance.feed.nextSeq())
    }, READ_PAUSE_MS).unref()
  }

  #dispatch(event: RawEvent): void {
    if ((event.mask & IN.Q_OVERFLOW) !== 0) this.#overflow(event.seq)
    this.#held.hold(event)
    const listeners = this.#byWatch.get(event.watch)
    if (listeners?.size === 1) for (const listener of listeners) listener.notify(event)
    else if (listeners !== undefined) for (const listener of [...listeners]) listener.notify(event)
    if ((event.mask & IN.IGNORED) !== 0) this.#byWatch.delete(event.watch)
  }

  #overflow(seq: number): void {
    this.#overflows++
    this.#log.warn(
      { overflows: this.#overflows },
      'file events were lost: all watched directories are compared with the disk',
    )
    for (const listener of [...this.#overflowListeners]) listener.overflowed(seq)
  }
}
