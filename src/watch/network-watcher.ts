import type { Exclude } from './exclude.ts'
import { Merge } from './merge.ts'
import { pollTree } from './polling.ts'
import type { SharedTreesDeps } from './shared-trees.ts'
import { WatchTree } from './tree.ts'
import type { Watcher, WatchOptions, WatchSink } from './watcher.ts'

/**
 * Milliseconds between two looks at a file: what other machines do is reported that much later at most, give or take
 * one look.
 */
const POLL_INTERVAL_MS = 2_000

/** A directory on a network mount. */
interface NetworkTarget {
  /** Links resolved, as bytes. */
  readonly real: Buffer
  readonly deps: SharedTreesDeps
  readonly options: WatchOptions
  readonly exclude: Exclude | undefined
}

/**
 * Watches a network mount for one client: by inotify what is done on this machine, by polling what others do; nothing
 * is emitted twice. Resolves when all is armed and known; rejects with AppError, or with the reason of the signal, and
 * leaves nothing behind.
 */
export async function openNetworkWatcher(
  { real, deps, options, exclude }: NetworkTarget,
  sink: WatchSink,
  signal: AbortSignal,
): Promise<Watcher> {
  const { path: shown, recursive, user } = options
  const path = real.toString()
  const owner = { connection: undefined, user }
  const merge = new Merge({
    path,
    hold: deps.budget.hold('watch', owner),
    onChange: (change) => sink.push(change),
    onEnd: (error) => sink.end(error),
    settled: () => tree.settled(),
    onDirectory: async (name) => recursive && tree.appeared(Buffer.from(name).toString('latin1')),
  })
  const tree = new WatchTree({
    ...{ inotify: deps.inotify, path: real, shown, recursive, exclude },
    hold: deps.budget.hold('watch', owner),
    onChange: (change) => merge.local(change),
    onLoss: () => sink.onLoss?.(),
    onEnd: (error) => void merge.settled().then(() => sink.end(error)),
  })
  const end = () => {
    merge.close()
    tree.close()
  }
  signal.addEventListener('abort', end, { once: true })
  try {
    signal.throwIfAborted()
    await tree.start()
    const polling = await startPolling({ path, recursive, exclude, merge })
    if (signal.aborted) polling.close()
    signal.throwIfAborted()
    return {
      async settled() {
        await tree.settled()
        await merge.settled()
      },
      close() {
        end()
        polling.close()
      },
    }
  } catch (error) {
    end()
    throw error
  } finally {
    signal.removeEventListener('abort', end)
  }
}

interface Polled {
  readonly path: string
  readonly recursive: boolean
  readonly exclude: Exclude | undefined
  readonly merge: Merge
}

async function startPolling({ path, recursive, exclude, merge }: Polled) {
  let known = false
  const polling = await pollTree({
    path,
    recursive,
    exclude,
    interval: POLL_INTERVAL_MS,
    onNotice: (name) => (known ? merge.notice(name) : merge.begin(name)),
    isOver: () => merge.isOver,
  })
  known = true
  return polling
}
