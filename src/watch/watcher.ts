import type { ChangeBuffer } from './change-buffer.ts'
import type { Inotify } from './inotify.ts'
import { openNetworkWatcher } from './network-watcher.ts'
import { WatchTree } from './tree.ts'
import { findTarget } from './watch-target.ts'

/** What a client wants to watch. */
export interface WatchOptions {
  /** Absolute. */
  readonly path: string
  readonly recursive: boolean
  readonly allowNetworkMounts: boolean
}

/** A directory that is being watched. */
export interface Watcher {
  /** Resolves when every change that has happened so far is in the buffer. */
  settled(): Promise<void>
  /** Idempotent; nothing reaches the buffer afterwards. */
  close(): void
}

/** Watches for one client. Resolves when everything is armed; rejects with AppError and leaves nothing behind. */
export async function openWatcher(inotify: Inotify, options: WatchOptions, buffer: ChangeBuffer): Promise<Watcher> {
  const { real, network } = await findTarget(options.path, options.allowNetworkMounts)
  if (network) return openNetworkWatcher({ real, inotify, options }, buffer)
  const tree = new WatchTree({
    inotify,
    path: real,
    shown: options.path,
    recursive: options.recursive,
    onChange: (change) => buffer.push(change),
    onEnd: (error) => buffer.end(error),
  })
  await tree.start()
  return tree
}
