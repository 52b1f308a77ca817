import type { Actor } from '../native/files.ts'
import type { ChangeBuffer } from './change-buffer.ts'
import { createExclude } from './exclude.ts'
import { openNetworkWatcher } from './network-watcher.ts'
import type { SharedTrees, SharedTreesDeps } from './shared-trees.ts'
import { findTarget } from './watch-target.ts'

/** What a client wants to watch. */
export interface WatchOptions {
  /** Absolute. */
  readonly path: string
  readonly recursive: boolean
  readonly allowNetworkMounts: boolean
  /** For whom. */
  readonly actor: Actor
  /** Patterns of what is left out, as in a .gitignore. */
  readonly exclude: readonly string[]
  /** Name of the user whose share of the budget it takes. */
  readonly user: string
}

/** A directory that is being watched. */
export interface Watcher {
  /** Resolves when every change that has happened so far is in the buffer. */
  settled(): Promise<void>
  /** Idempotent; nothing reaches the buffer afterwards. */
  close(): void
}

/** What watchers need. */
export interface WatcherDeps extends SharedTreesDeps {
  readonly trees: SharedTrees
}

/** Watches for one client. Resolves when everything is armed; rejects with AppError and leaves nothing behind. */
export async function openWatcher(deps: WatcherDeps, options: WatchOptions, buffer: ChangeBuffer): Promise<Watcher> {
  const exclude = createExclude(options.exclude)
  const { real, identity, network } = await findTarget(options)
  if (network) return openNetworkWatcher({ real, deps, options, exclude }, buffer)
  const { path: shown, recursive, exclude: patterns, user } = options
  return deps.trees.subscribe(
    { path: real, identity, shown, recursive, patterns, exclude, user },
    { onChange: (change) => buffer.push(change), onEnd: (error) => buffer.end(error) },
  )
}
