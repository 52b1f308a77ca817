/** A polled watcher, as the next daemon makes it anew. */
export interface WatcherDefinition {
  readonly id: string
  /** Absolute. */
  readonly path: string
  readonly recursive: boolean
  readonly allowNetworkMounts: boolean
  readonly includeEntry: boolean
  /** See `WatchOptions.exclude`. */
  readonly exclude: readonly string[]
  /** Name of the user for whom it watches. */
  readonly user: string
}

/** Where polled watchers are kept for the next daemon. */
export interface KeptWatchers {
  /** Those of the daemon before this one, each with the function that forgets it. */
  readonly before: readonly { readonly definition: WatcherDefinition; readonly forget: () => void }[]
  /** Keeps one, until the function that is returned is called. Never throws: one that cannot be kept is not. */
  keep(definition: WatcherDefinition): () => void
}

/** Where nothing is kept. */
export const NOT_KEPT: KeptWatchers = { before: [], keep: () => () => {} }
