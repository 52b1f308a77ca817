import type { ChangeBuffer } from './change-buffer.ts'
import type { Inotify } from './inotify.ts'
import { Merge } from './merge.ts'
import { WatchTree } from './tree.ts'
import type { Watcher, WatchOptions } from './watcher.ts'

/** Milliseconds between two looks at a file: what other machines do is told that much later at most, give or take one look. */
const POLL_INTERVAL_MS = 2_000

/** A directory on a network mount. */
export interface NetworkTarget {
  /** Links resolved, as bytes. */
  readonly real: Buffer
  readonly inotify: Inotify
  readonly options: WatchOptions
}

/**
 * Watches a network mount for one client: by inotify what is done on this machine, by polling what others do; nothing is told
 * twice. Resolves when all is armed and known; rejects with AppError and leaves nothing behind.
 */
export async function openNetworkWatcher(
  { real, inotify, options }: NetworkTarget,
  buffer: ChangeBuffer,
): Promise<Watcher> {
  const { path: shown, recursive } = options
  const path = real.toString()
  const merge = new Merge({
    path,
    onChange: (change) => buffer.push(change),
    onEnd: (error) => buffer.end(error),
    settled: () => tree.settled(),
    onDirectory: async (name) => recursive && tree.appeared(Buffer.from(name).toString('latin1')),
  })
  const tree = new WatchTree({
    inotify,
    path: real,
    shown,
    recursive,
    onChange: (change) => merge.local(change),
    onEnd: (error) => void merge.settled().then(() => buffer.end(error)),
  })
  await tree.start()
  try {
    const polling = await startPolling({ path, recursive, merge })
    return {
      async settled() {
        await tree.settled()
        await merge.settled()
      },
      close() {
        merge.close()
        tree.close()
        polling.close()
      },
    }
  } catch (error) {
    tree.close()
    throw error
  }
}

async function startPolling({ path, recursive, merge }: { path: string; recursive: boolean; merge: Merge }) {
  // Loaded when it is needed: most daemons never see a network mount.
  const { pollTree } = await import('./polling.ts')
  const begun: Promise<void>[] = []
  let known = false
  const polling = await pollTree({
    path,
    recursive,
    interval: POLL_INTERVAL_MS,
    onNotice: (name) => {
      if (known) void merge.notice(name)
      else begun.push(merge.begin(name))
    },
    // A file that cannot be looked at is looked at again in the next round.
    onError: () => {},
  })
  known = true
  await Promise.all(begun)
  return polling
}
