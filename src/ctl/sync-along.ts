import { setTimeout as delay } from 'node:timers/promises'
import { createByteBudget } from '../budget/budget.ts'
import { NEVER } from '../lib/never.ts'
import { ChangeCursor } from '../watch/change-cursor.ts'
import { Inotify } from '../watch/inotify.ts'
import { SharedTrees } from '../watch/shared-trees.ts'
import { openWatcher } from '../watch/watcher.ts'
import { Failure, isPassing } from './failure.ts'
import { SILENT, self } from './local-tree.ts'
import type { Synced, SyncOptions } from './sync.ts'
import { syncOnce, syncPaths } from './sync-once.ts'
import { latin1 } from './tree-state.ts'

interface Along extends Pick<SyncOptions, 'local' | 'exclude' | 'signal'> {
  /** Runs one round, with its progress on a terminal. */
  readonly shown: (work: (options: SyncOptions) => Promise<Synced>) => Promise<Synced>
  readonly onSynced: (synced: Synced) => Promise<void>
  readonly onTrouble: (message: string) => Promise<void>
}

/** Memory of the watched tree and of what has changed: a million files. */
const BUDGET_BYTES = 512 * 1024 * 1024
/** After a change until no other comes, and how long that goes on: what is written in pieces is sent once. */
const QUIET_MS = 100
const BUSY_MS = 500
/** Between attempts in a row. */
const FIRST_WAIT_MS = 250
const LONGEST_WAIT_MS = 5_000
const LONG_MS = 2 ** 30

/**
 * Makes a directory of the sandbox as one of this machine, and keeps it so until the signal aborts. A sandbox that does
 * not answer is waited for, and all is compared again then. Throws Failure if the first round fails for another reason.
 */
export async function syncAlong({ local, exclude, signal, shown, onSynced, onTrouble }: Along): Promise<void> {
  using changes = await followChanges(local, exclude)
  let begun = false
  let failures = 0
  let reported = ''
  /** Undefined: all. */
  let paths: readonly string[] | undefined
  while (!signal.aborted) {
    try {
      const some = paths
      const work = (options: SyncOptions) => (some ? syncPaths(options, some) : syncOnce(options, false))
      if (some === undefined || some.length > 0) await onSynced(await shown(work))
      if (failures > 0) await onTrouble('all is the same again')
      begun = true
      reported = ''
      failures = 0
      paths = await changes.next(signal)
    } catch (error) {
      if (signal.aborted) return
      if (!(error instanceof Failure) || (!begun && !isPassing(error))) throw error
      if (reported !== error.message) await onTrouble(`${error.message}; trying again`)
      reported = error.message
      paths = undefined
      failures++
      await delay(Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)), undefined, { signal }).catch(() => {})
    }
  }
}

/** What changes in a directory, from now on. */
async function followChanges(local: string, exclude: readonly string[]) {
  const inotify = new Inotify({ log: SILENT })
  const budget = createByteBudget(BUDGET_BYTES)
  const cursor = new ChangeCursor(budget.hold('events', { connection: undefined, user: undefined }))
  const deps = { inotify, budget, trees: new SharedTrees({ inotify, budget }) }
  const options = { path: local, recursive: true, allowNetworkMounts: true, actor: self(), exclude, user: '' }
  const close = () => {
    cursor.close()
    inotify.close()
  }
  const watcher = await openWatcher(deps, options, cursor, NEVER).catch((error: Error) => {
    close()
    throw new Failure('internal', error.message)
  })
  let answer = 0
  // What is waited for does not keep a program alive.
  const alive = setInterval(() => {}, LONG_MS)
  return {
    /** Paths that have changed, once there are some; undefined: that is not known. Throws Failure at the end. */
    next: async (signal: AbortSignal): Promise<readonly string[] | undefined> => {
      await watcher.settled()
      if (!cursor.has(answer)) await cursor.news.wait(LONG_MS, signal)
      for (const began = performance.now(); performance.now() - began < BUSY_MS; )
        if (!(await cursor.news.wait(QUIET_MS, signal))) break
      await watcher.settled()
      const since = cursor.since(answer, Number.POSITIVE_INFINITY)
      if (cursor.ended !== undefined) throw new Failure('usage', cursor.ended.message)
      answer = since?.answer ?? answer
      if (since?.kind !== 'changes') return undefined
      const paths = since.changes.map(({ name, raw }) => raw?.toString('latin1') ?? latin1(name))
      // What is left out may be others now.
      return paths.some((path) => /(^|\/)\.gitignore$/.test(path)) ? undefined : paths.filter((path) => path !== '.')
    },
    [Symbol.dispose]: () => {
      clearInterval(alive)
      watcher.close()
      close()
    },
  }
}
