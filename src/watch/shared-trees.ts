import type { ByteBudget } from '../budget/budget.ts'
import type { AppError } from '../errors.ts'
import { raceAbort } from '../lib/race-abort.ts'
import type { Change } from './change.ts'
import type { Exclude } from './exclude.ts'
import type { Inotify } from './inotify.ts'
import { WatchTree } from './tree.ts'

/** A tree that is wanted. */
interface SharedTreeOptions {
  /** Real path of the directory, as bytes. */
  readonly path: Buffer
  /** Device and inode of the directory, which distinguish it from another that has taken its place. */
  readonly identity: string
  /** The path as the client named it, for messages. */
  readonly shown: string
  readonly recursive: boolean
  /** What `exclude` was made of. */
  readonly patterns: readonly string[]
  readonly exclude: Exclude | undefined
  /** Name of the user whose share of the budget it takes. */
  readonly user: string
}

/** Receives what a tree emits. */
interface Subscriber {
  onChange(change: Change): void
  /** Some changes are not emitted; only these are missing. */
  onLoss?(): void
  /** The tree emits nothing more. */
  onEnd(error: AppError): void
}

/** A subscriber's hold on a tree. */
interface Subscription {
  /** Resolves when every change that has happened until this call was reported. */
  settled(): Promise<void>
  /** Nothing is emitted any more; the last one closes the tree. Idempotent. */
  close(): void
}

export interface SharedTreesDeps {
  readonly inotify: Inotify
  readonly budget: ByteBudget
}

interface Entry {
  readonly tree: WatchTree
  readonly subscribers: Set<Subscriber>
  /** Subscribers, and those that wait to become some. */
  users: number
  starting: Promise<void> | undefined
  over: boolean
}

/** The trees that are watched: those who want the same as the same user share one, and its memory. */
export class SharedTrees {
  readonly #deps: SharedTreesDeps
  readonly #entries = new Map<string, Entry>()

  constructor(deps: SharedTreesDeps) {
    this.#deps = deps
  }

  /** Trees that are open. */
  get size(): number {
    return this.#entries.size
  }

  /**
   * Sends a subscriber everything that happens from now on. Resolves when all is armed; rejects as `WatchTree.start`
   * does, and with the reason of the signal: the arming ends then if it was for this one alone.
   */
  async subscribe(options: SharedTreeOptions, subscriber: Subscriber, signal: AbortSignal): Promise<Subscription> {
    const key = keyOf(options)
    for (;;) {
      signal.throwIfAborted()
      const entry = this.#entries.get(key) ?? this.#open(key, options)
      entry.users++
      try {
        const joined = await raceAbort(join(entry, subscriber, signal), signal)
        if (joined) return this.#subscription(key, entry, subscriber)
      } catch (error) {
        entry.subscribers.delete(subscriber)
        this.#leave(key, entry)
        throw error
      }
      // It has ended meanwhile, as its directory was moved or removed, perhaps to make place for another.
      this.#leave(key, entry)
    }
  }

  #open(key: string, { path, shown, recursive, exclude, user }: SharedTreeOptions): Entry {
    const subscribers = new Set<Subscriber>()
    const tree = new WatchTree({
      ...{ inotify: this.#deps.inotify, path, shown, recursive, exclude },
      hold: this.#deps.budget.hold('watch', { connection: undefined, user }),
      onChange: (change) => {
        for (const subscriber of subscribers) subscriber.onChange(change)
      },
      onLoss: () => {
        for (const subscriber of subscribers) subscriber.onLoss?.()
      },
      onEnd: (error) => {
        entry.over = true
        this.#forget(key, entry)
        for (const subscriber of subscribers) subscriber.onEnd(error)
      },
    })
    const entry: Entry = { tree, subscribers, users: 0, starting: undefined, over: false }
    entry.starting = tree.start().finally(() => {
      entry.starting = undefined
    })
    this.#entries.set(key, entry)
    return entry
  }

  #subscription(key: string, entry: Entry, subscriber: Subscriber): Subscription {
    return {
      settled: () => entry.tree.settled(),
      close: () => {
        if (entry.subscribers.delete(subscriber)) this.#leave(key, entry)
      },
    }
  }

  #leave(key: string, entry: Entry): void {
    entry.users--
    if (entry.users > 0) return
    this.#forget(key, entry)
    entry.tree.close()
  }

  #forget(key: string, entry: Entry): void {
    if (this.#entries.get(key) === entry) this.#entries.delete(key)
  }
}

/** False: the tree has ended before anything could be reported. Rejects as its start does. */
async function join(entry: Entry, subscriber: Subscriber, signal: AbortSignal): Promise<boolean> {
  if (entry.starting !== undefined) {
    entry.subscribers.add(subscriber)
    await entry.starting
    return true
  }
  // What has happened before is no news to this one.
  await entry.tree.settled()
  if (entry.over || signal.aborted) return false
  entry.subscribers.add(subscriber)
  return true
}

function keyOf({ path, identity, shown, recursive, patterns, user }: SharedTreeOptions): string {
  return JSON.stringify([path.toString('latin1'), identity, shown, recursive, patterns, user])
}
