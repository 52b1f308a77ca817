import { createLock } from '../lib/lock.ts'
import { unpackVersion } from '../native/entries.ts'
import { type FileStatus, statFile } from '../native/file-calls.ts'
import { entityTagOf } from './entity-tag.ts'
import type { OpenedFile } from './open-anew.ts'
import { conditionFailed } from './write-condition.ts'

/** Keeps a write in place to its condition. */
export interface WriteGuard {
  /** Rejects with AppError condition_failed if the file has changed since it was opened. */
  check(): Promise<void>
  /** Runs what checks and writes, while no other guarded write of the file does. */
  alone(work: () => Promise<void>): Promise<void>
}

interface Guarded {
  readonly path: string
  /** The version that the condition was checked for; undefined: there was no file. */
  readonly expected: Buffer | undefined
  readonly signal: AbortSignal
}

/** Guards an open file, from its opening on. */
export function guardWrite({ fd, made }: OpenedFile, { path, expected, signal }: Guarded): WriteGuard {
  const opening = statFile(fd)
  opening.catch(() => {})
  return {
    check: async () => {
      const opened = await opening
      const now = await statFile(fd)
      if (!isExpected(opened, { made, expected }) || entityTagOf(opened) !== entityTagOf(now))
        throw conditionFailed(path)
    },
    alone: async (work) => {
      const { dev, ino } = await opening
      await oneWriter(`${dev}:${ino}`, signal, work)
    },
  }
}

/** Opening sets the owner of a file, which changes its ctime alone: that is not compared. */
function isExpected(opened: FileStatus, { made, expected }: { made: boolean; expected: Buffer | undefined }): boolean {
  if (made || expected === undefined) return made && expected === undefined
  const { ino, size, mtimeNs } = unpackVersion(expected)
  return ino === opened.ino && size === opened.size && mtimeNs === opened.mtimeNs
}

const locks = new Map<string, { readonly lock: ReturnType<typeof createLock>; users: number }>()

/**
 * Runs the work of those that write one file one after the other. A lock lives as long as a writer has or awaits it.
 */
export async function oneWriter<T>(key: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  const entry = locks.get(key) ?? { lock: createLock(), users: 0 }
  locks.set(key, entry)
  entry.users++
  try {
    const release = await entry.lock.acquire(signal)
    try {
      return await work()
    } finally {
      release()
    }
  } finally {
    entry.users--
    if (entry.users === 0) locks.delete(key)
  }
}
