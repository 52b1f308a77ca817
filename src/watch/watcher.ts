import type { AppError } from '../errors.ts'
import type { Actor } from '../native/files.ts'
import type { Change } from './change.ts'
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

/** Takes what a watcher sees. */
export interface WatchSink {
  push(change: Change): void
  /** Called when changes were lost. */
  onLoss?(): void
  /** No more changes will come, for this reason. */
  end(error: AppError): void
}

/** A directory that is being watched. */
export interface Watcher {
  /** Resolves when every change that has happened so far is in the sink. */
  settled(): Promise<void>
  /** Idempotent; nothing reaches the sink afterwards. */
  close(): void
}

export interface WatcherDeps extends SharedTreesDeps {
  readonly trees: SharedTrees
}

/**
 * Watches for one client. Resolves when everything is armed; rejects with AppError, or with the reason of the signal,
 * and leaves nothing behind.
 */
export async function openWatcher(
  deps: WatcherDeps,
  options: WatchOptions,
  sink: WatchSink,
  signal: AbortSignal,
): Promise<Watcher> {
  const exclude = createExclude(options.exclude)
  const { real, identity, network } = await findTarget(options)
  if (network) return openNetworkWatcher({ real, deps, options, exclude }, sink, signal)
  const { path: shown, recursive, exclude: patterns, user } = options
  return deps.trees.subscribe(
    { path: real, identity, shown, recursive, patterns, exclude, user },
    { onChange: (change) => sink.push(change), onLoss: () => sink.onLoss?.(), onEnd: (error) => sink.end(error) },
    signal,
  )
}
