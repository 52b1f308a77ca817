import { type ByteBudget, createByteBudget } from '../../src/budget/budget.ts'
import { EventType } from '../../src/gen/filesystem/filesystem_pb.js'
import { NEVER } from '../../src/lib/never.ts'
import type { Log } from '../../src/log.ts'
import type { Actor } from '../../src/native/files.ts'
import type { Change } from '../../src/watch/change.ts'
import { ChangeBuffer } from '../../src/watch/change-buffer.ts'
import { Inotify } from '../../src/watch/inotify.ts'
import { SharedTrees } from '../../src/watch/shared-trees.ts'
import { openWatcher, type Watcher, type WatcherDeps } from '../../src/watch/watcher.ts'

/** A log that says nothing; a test that wants to read it gives its own. */
export const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, named: () => silent }

/** A watcher of a directory, with what it has reported. */
export interface Watching extends AsyncDisposable {
  readonly inotify: Inotify
  readonly watcher: Watcher
  readonly buffer: ChangeBuffer
  /** What was reported since the last call, as `CREATE name`, with everything that has happened until now. */
  reported(): Promise<string[]>
  /** The same as the daemon has it. */
  changes(): Promise<Change[]>
}

export interface WatchingOptions {
  readonly recursive?: boolean
  readonly allowNetworkMounts?: boolean
  /** For whom; default: root. */
  readonly actor?: Actor
  /** Shared between watchers; default: an instance of its own. */
  readonly inotify?: Inotify
  /** Default: one that is never spent. Counts for the first watcher of an instance. */
  readonly budget?: ByteBudget
  /** Patterns of what is left out. */
  readonly exclude?: readonly string[]
  /** Of the client; default: one that never aborts. */
  readonly signal?: AbortSignal
}

const trees = new WeakMap<Inotify, WatcherDeps>()

/** What watchers of one instance share. */
export function sharedBy(inotify: Inotify, budget = createByteBudget(2 ** 32)): WatcherDeps {
  const known = trees.get(inotify)
  if (known !== undefined) return known
  const deps = { inotify, budget, trees: new SharedTrees({ inotify, budget }) }
  trees.set(inotify, deps)
  return deps
}

const ROOT = { uid: 0, gid: 0 }

/** Watches a directory as a client does; disposing closes what was opened. */
export async function watchDirectory(path: string, options: WatchingOptions = {}): Promise<Watching> {
  const { recursive = true, allowNetworkMounts = false, exclude = [], actor = ROOT } = options
  const inotify = options.inotify ?? new Inotify({ log: silent })
  const buffer = new ChangeBuffer()
  const wanted = { path, recursive, allowNetworkMounts, actor, exclude, user: 'root' }
  const watcher = await openWatcher(sharedBy(inotify, options.budget), wanted, buffer, options.signal ?? NEVER)
  const changes = async () => {
    await watcher.settled()
    return buffer.drain()
  }
  return {
    inotify,
    watcher,
    buffer,
    changes,
    reported: async () => (await changes()).map(text),
    async [Symbol.asyncDispose]() {
      watcher.close()
      if (options.inotify === undefined) inotify.close()
    },
  }
}

/** `CREATE a/b`. */
export function text({ type, name }: Change): string {
  return `${EventType[type]} ${name}`
}
