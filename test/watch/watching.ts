import { EventType } from '../../src/gen/filesystem/filesystem_pb.js'
import type { Log } from '../../src/log.ts'
import type { Change } from '../../src/watch/change.ts'
import { ChangeBuffer } from '../../src/watch/change-buffer.ts'
import { Inotify } from '../../src/watch/inotify.ts'
import { openWatcher, type Watcher } from '../../src/watch/watcher.ts'

/** A log that says nothing; a test that wants to read it gives its own. */
export const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, named: () => silent }

/** A watcher of a directory, with what it has told. */
export interface Watching extends AsyncDisposable {
  readonly inotify: Inotify
  readonly watcher: Watcher
  readonly buffer: ChangeBuffer
  /** What was told since the last call, as `CREATE name`, with everything that has happened until now. */
  told(): Promise<string[]>
  /** The same as the daemon has it. */
  changes(): Promise<Change[]>
}

export interface WatchingOptions {
  readonly recursive?: boolean
  readonly allowNetworkMounts?: boolean
  /** Shared between watchers; default: an instance of its own. */
  readonly inotify?: Inotify
}

/** Watches a directory as a client does; disposing closes what was opened. */
export async function watchDirectory(path: string, options: WatchingOptions = {}): Promise<Watching> {
  const { recursive = true, allowNetworkMounts = false } = options
  const inotify = options.inotify ?? new Inotify({ log: silent })
  const buffer = new ChangeBuffer()
  const watcher = await openWatcher(inotify, { path, recursive, allowNetworkMounts }, buffer)
  const changes = async () => {
    await watcher.settled()
    return buffer.drain()
  }
  return {
    inotify,
    watcher,
    buffer,
    changes,
    told: async () => (await changes()).map(text),
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
