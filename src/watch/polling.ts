import { type FSWatcher, watch } from 'chokidar'

/** What is looked at for changes that the kernel does not report. */
interface PollOptions {
  /** Absolute, without a slash at its end. */
  readonly path: string
  readonly recursive: boolean
  /** What is not looked at; the path is relative to the watched one. */
  readonly isExcluded: (path: string, isDirectory: boolean) => boolean
  /** Milliseconds between two looks at the same file. */
  readonly interval: number
  /**
   * Called with a path relative to the watched one (empty for itself) for everything that is there when polling begins,
   * and afterwards for what may have appeared, changed or gone.
   */
  readonly onNotice: (path: string) => void
  readonly onError: (error: unknown) => void
}

/**
 * Looks at every file again and again (contract C26): the only way to see what other machines do. Resolves when all is
 * known.
 */
export async function pollTree(options: PollOptions): Promise<{ close(): void }> {
  const { path, recursive, isExcluded, interval, onNotice, onError } = options
  const relative = (seen: string) => seen.slice(path === '/' ? 1 : path.length + 1)
  const watcher: FSWatcher = watch(path, {
    usePolling: true,
    interval,
    binaryInterval: interval,
    followSymlinks: false,
    ignorePermissionErrors: true,
    atomic: false,
    ignored: (seen, stats) => seen.length > path.length && isExcluded(relative(seen), stats?.isDirectory() ?? false),
    ...(recursive ? {} : { depth: 0 }),
  })
  const ready = Promise.withResolvers<void>()
  watcher.on('all', (_, seen) => onNotice(relative(seen)))
  watcher.on('error', onError)
  watcher.on('ready', ready.resolve)
  await ready.promise
  return { close: () => void watcher.close().catch(onError) }
}
