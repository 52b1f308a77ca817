import { AppError, errnoOf } from '../../errors.ts'
import { errnoText } from '../../lib/errno-text.ts'
import { createLock } from '../../lib/lock.ts'
import { longTimeout } from '../../lib/long-timeout.ts'
import { NEVER } from '../../lib/never.ts'
import { withTimeout } from '../../lib/with-timeout.ts'
import type { Log } from '../../log.ts'
import { freezeFilesystem, thawFilesystem } from '../../native/index.ts'

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
  const { path, before, log, thawAfter = THAW_AFTER_MS } = options
  const bytes = Buffer.from(path)
  const lock = createLock()
  let disarm: (() => void) | undefined

  const arm = () => {
    disarm?.()
    disarm = longTimeout(thawAfter, () => {
      log.warn({ path, ms: thawAfter }, 'a frozen filesystem was forgotten, it is thawed')
      void freeze.thaw().catch(() => arm())
    })
  }
  const thawNow = async () => {
    await unlessErrno('EINVAL', call('FITHAW', path, thawFilesystem(bytes)))
    disarm?.()
    disarm = undefined
    log.info({ path }, 'filesystem thawed')
  }
  const freeze: FilesystemFreeze = {
    freeze: async (signal) => {
      const release = await lock.acquire(signal)
      try {
        await withTimeout(TIMEOUT_MS, before(), signal)
        signal.throwIfAborted()
        const done = await unlessErrno('EBUSY', call('FIFREEZE', path, freezeFilesystem(bytes)))
        if (done || disarm !== undefined) arm()
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
      if (disarm !== undefined) await thawNow().catch(() => {})
      release()
    },
  }
  return freeze
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
