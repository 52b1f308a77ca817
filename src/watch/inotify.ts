import { AppError, errnoOf } from '../errors.ts'
import { errnoText } from '../lib/errno-text.ts'
import type { Log } from '../log.ts'
import { close, openInotify, type Poll, poll, read, removeWatch, watchTree } from '../native/index.ts'
import { unpackTree, type WatchedDirectory } from '../native/watched-tree.ts'
import { IN, parseEvents, type RawEvent, WATCH_MASK } from './inotify-event.ts'

/** What has to do with one watched directory: a node in the tree of a watcher. */
export interface Listener {
  /** An event of the directory, in the kernel's order. */
  notify(event: RawEvent): void
}

/** Who wants to hear that the kernel's queue overflowed. */
export interface OverflowListener {
  overflowed(seq: number): void
}

/** One read: about a thousand events, a millisecond to take apart and hand out. */
const READ_BYTES = 32 * 1024

/** Reads before other work gets a turn. */
const READS_PER_TURN = 2

/** Events held for listeners that are still to come, while directories are being armed; past it those must compare with the disk. */
const MAX_HELD = 65_536

const EAGAIN = -11

/**
 * The daemon's one inotify instance. Directories are watched once, however many watchers want them, and released when the
 * last of their listeners leaves. The instance is opened with the first watch.
 */
export class Inotify {
  readonly #log: Log
  readonly #byWatch = new Map<number, Set<Listener>>()
  readonly #overflowListeners = new Set<OverflowListener>()
  /** All events since the oldest arming under way began. */
  #held: RawEvent[] = []
  #heldLost = false
  /** Watches without listeners, to be removed once nothing is being armed. */
  readonly #removable = new Set<number>()
  #arming = 0
  #instance: { readonly fd: number; readonly poll: Poll; readonly buffer: Buffer } | undefined
  #seq = 0
  #caughtUp: (() => void)[] = []
  #overflows = 0

  constructor(log: Log) {
    this.#log = log
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
   * Watches a directory and, if recursive, all below it. The caller claims those that it wants, then calls `done`, which
   * releases the others. Rejects with the AppError for a root that cannot be watched, or when the
   * kernel's limits are reached; everything of this call is undone then.
   * @param path real path, as bytes.
   */
  async arm(path: Uint8Array, recursive: boolean): Promise<Armed> {
    const { fd } = this.#open()
    this.#arming++
    const since = this.#seq
    try {
      const tree = unpackTree(await watchTree(fd, path, WATCH_MASK, recursive))
      for (const { watch } of tree.directories) if (!this.#byWatch.has(watch)) this.#removable.add(watch)
      if (tree.failure !== undefined) throw armError(tree.failure)
      return {
        directories: tree.directories,
        claim: (watch, listener) => this.#claim(watch, listener, since),
        done: () => this.#armed(),
      }
    } catch (error) {
      this.#armed()
      throw error
    }
  }

  /** Takes a listener off; the last one releases the watch. */
  release(watch: number, listener: Listener): void {
    const listeners = this.#byWatch.get(watch)
    if (listeners?.delete(listener) !== true || listeners.size > 0) return
    this.#byWatch.delete(watch)
    this.#removable.add(watch)
    this.#removeUnused()
  }

  /** Tells `listener` about overflows until the returned function is called. */
  onOverflow(listener: OverflowListener): () => void {
    this.#overflowListeners.add(listener)
    return () => this.#overflowListeners.delete(listener)
  }

  /**
   * Resolves with the number of the last event when everything that has happened so far was handed to the listeners.
   */
  caughtUp(): Promise<number> {
    if (this.#instance === undefined) return Promise.resolve(this.#seq)
    return new Promise((resolve) => {
      this.#caughtUp.push(() => resolve(this.#seq))
      setImmediate(() => this.#readSome())
    })
  }

  /** Ends everything; listeners hear nothing more. */
  close(): void {
    if (this.#instance === undefined) return
    this.#instance.poll.close()
    close(this.#instance.fd)
    this.#instance = undefined
    this.#tellCaughtUp()
  }

  #open(): { readonly fd: number } {
    if (this.#instance !== undefined) return this.#instance
    try {
      const fd = openInotify()
      const watch = poll(fd, false, () => this.#readSome())
      watch.start()
      this.#instance = { fd, poll: watch, buffer: Buffer.allocUnsafeSlow(READ_BYTES) }
      return this.#instance
    } catch (error) {
      throw armError(errnoOf(error) ?? 'EIO')
    }
  }

  #claim(watch: number, listener: Listener, since: number): void {
    this.#removable.delete(watch)
    const listeners = this.#byWatch.get(watch)
    if (listeners === undefined) this.#byWatch.set(watch, new Set([listener]))
    else listeners.add(listener)
    for (const event of this.#held) if (event.watch === watch && event.seq > since) listener.notify(event)
  }

  #armed(): { readonly lost: boolean } {
    const lost = this.#heldLost
    this.#arming--
    if (this.#arming === 0) {
      this.#held = []
      this.#heldLost = false
    }
    this.#removeUnused()
    return { lost }
  }

  #removeUnused(): void {
    if (this.#arming > 0 || this.#instance === undefined) return
    for (const watch of this.#removable) removeWatch(this.#instance.fd, watch)
    this.#removable.clear()
  }

  #readSome(): void {
    for (let reads = 0; reads < READS_PER_TURN && this.#instance !== undefined; reads++) {
      const { fd, buffer } = this.#instance
      const length = read(fd, buffer, 0, buffer.length)
      if (length <= 0) {
        if (length !== EAGAIN) this.#log.error({ errno: -length }, 'reading file events failed')
        this.#tellCaughtUp()
        return
      }
      const events = parseEvents(buffer, length, this.#seq + 1)
      this.#seq += events.length
      for (const event of events) this.#dispatch(event)
    }
    if (this.#caughtUp.length > 0) setImmediate(() => this.#readSome())
  }

  #tellCaughtUp(): void {
    const waiting = this.#caughtUp
    this.#caughtUp = []
    for (const resolve of waiting) resolve()
  }

  #dispatch(event: RawEvent): void {
    if ((event.mask & IN.Q_OVERFLOW) !== 0) this.#overflow(event.seq)
    if (this.#arming > 0) this.#hold(event)
    for (const listener of [...(this.#byWatch.get(event.watch) ?? [])]) listener.notify(event)
    if ((event.mask & IN.IGNORED) !== 0) this.#byWatch.delete(event.watch)
  }

  #hold(event: RawEvent): void {
    if (this.#held.length < MAX_HELD) this.#held.push(event)
    else {
      this.#held = []
      this.#heldLost = true
    }
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

/** Directories that were just watched. */
export interface Armed {
  /** Parents before children. */
  readonly directories: readonly WatchedDirectory[]
  /** Adds a listener to one of them, which gets at once what has happened there since before it was armed. */
  claim(watch: number, listener: Listener): void
  /** All that are wanted were claimed. `lost`: too much happened meanwhile, the directories must be compared with the disk. */
  done(): { readonly lost: boolean }
}

function armError(errno: string): AppError {
  if (errno === 'ENOSPC')
    return new AppError(
      'resource_exhausted',
      'no more directories can be watched: the limit is sysctl fs.inotify.max_user_watches',
    )
  if (errno === 'EMFILE' || errno === 'ENFILE')
    return new AppError(
      'resource_exhausted',
      'no directory can be watched: the limit is sysctl fs.inotify.max_user_instances, or of open files',
    )
  if (errno === 'ENOENT') return new AppError('not_found', 'the watched directory does not exist any more')
  return new AppError('internal', `error watching directory: ${errnoText(errno)}`)
}
