import { AppError, errnoOf } from '../../errors.ts'
import { errnoText } from '../../lib/errno-text.ts'
import { createLock } from '../../lib/lock.ts'
import { longTimeout } from '../../lib/long-timeout.ts'
import { NEVER } from '../../lib/never.ts'
import { withTimeout } from '../../lib/with-timeout.ts'
import type { Log } from '../../log.ts'
import { freezeFilesystem, thawFilesystem } from '../../native/index.ts'
import { type FreezeStore, freezeFor, leftOfFreeze, NO_STORE } from './kept-freeze.ts'

/** Stops all writing to a filesystem, so that its disk can be copied, and lets it go on. */
interface FilesystemFreeze {
  /**
   * Writes out what is dirty and freezes; one that is frozen already, also by others, is success. Rejects with the
   * signal's reason while it waits for its turn, and with `internal` when it cannot be frozen. One that succeeds when
   * the signal has aborted is taken back, as its caller will not thaw it.
   */
  freeze(signal: AbortSignal): Promise<void>
  /** Thaws, also what others froze; one that is not frozen is success. Rejects with `internal`. */
  thaw(): Promise<void>
  /** Thaws what is still frozen by this daemon. Never rejects. */
  close(): Promise<void>
}

/** Which filesystem, and what surrounds a freeze. */
interface FilesystemFreezeOptions {
  /** Any directory on it. */
  readonly path: string
  /** The last thing to do before a freeze; it is not waited for longer than a quarter of a second. */
  readonly before: () => Promise<void>
  readonly log: Log
  /** Milliseconds after which a freeze ends by itself; default: ten minutes. */
  readonly thawAfter?: number
  /** Where a freeze is kept for the next daemon, which ends it by then; default: nowhere. */
  readonly kept?: FreezeStore
}

const TIMEOUT_MS = 250

/**
 * After a freeze the machine is stopped within seconds, and its clock with it. If it still runs after this time, the
 * thaw was forgotten. The platform's own limit for frozen processes is the same
 * (contract H9).
 */
const THAW_AFTER_MS = 10 * 60_000

/** Makes the switch of one filesystem (contract B60, H12); its calls take turns. */
export function createFilesystemFreeze(options: FilesystemFreezeOptions): FilesystemFreeze {
  const { path, before, log, thawAfter = THAW_AFTER_MS, kept = NO_STORE } = options
  const bytes = Buffer.from(path)
  const lock = createLock()
  const limit = createLimit(thawAfter, kept, () => {
    log.warn({ path, ms: thawAfter }, 'a frozen filesystem was forgotten, it is thawed')
    void freeze.thaw().catch(() => limit.begin())
  })
  const thawNow = async () => {
    await unlessErrno('EINVAL', call('FITHAW', path, thawFilesystem(bytes)))
    limit.end()
    log.info({ path }, 'filesystem thawed')
  }
  const freeze: FilesystemFreeze = {
    freeze: async (signal) => {
      const release = await lock.acquire(signal)
      try {
        await withTimeout(TIMEOUT_MS, before(), signal)
        signal.throwIfAborted()
        const takeBack = limit.isOver ? limit.end : () => {}
        // First: this daemon may end at any moment.
        limit.begin()
        const done = await unlessErrno('EBUSY', call('FIFREEZE', path, freezeFilesystem(bytes))).catch(
          (error: unknown) => {
            takeBack()
            throw error
          },
        )
        // Others have frozen it.
        if (!done) takeBack()
        log.info({ path, already: !done }, 'filesystem frozen')
        if (done && signal.aborted) await thawNow()
      } finally {
        release()
      }
    },
    thaw: async () => {
      const release = await lock.acquire(NEVER)
      try {
        await thawNow()
      } finally {
        release()
      }
    },
    close: async () => {
      const release = await lock.acquire(NEVER)
      if (!limit.isOver) await thawNow().catch(() => {})
      release()
    },
  }
  return freeze
}

/** The time after which a freeze ends by itself, also in the next daemon. It goes on with that of the last one. */
function createLimit(period: number, kept: FreezeStore, expired: () => void) {
  let disarm: (() => void) | undefined
  const begin = (ms = period) => {
    disarm?.()
    kept.write(freezeFor(ms))
    disarm = longTimeout(ms, expired)
  }
  if (kept.before !== undefined) begin(leftOfFreeze(kept.before, period))
  return {
    get isOver() {
      return disarm === undefined
    },
    /** Begins anew. */
    begin: () => begin(),
    /** Idempotent. */
    end: () => {
      disarm?.()
      disarm = undefined
      kept.write(undefined)
    },
  }
}

/** True when it succeeded, false when it failed with that errno. */
async function unlessErrno(harmless: string, work: Promise<void>): Promise<boolean> {
  try {
    await work
    return true
  } catch (error) {
    if (error instanceof Error && errnoOf(error.cause) === harmless) return false
    throw error
  }
}

async function call(name: string, path: string, work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (error) {
    throw new AppError('internal', `${name} ${path}: ${errnoText(errnoOf(error) ?? 'EIO')}`, { cause: error })
  }
}
