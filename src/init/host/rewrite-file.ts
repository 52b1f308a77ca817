import type { BigIntStats } from 'node:fs'
import { constants, open, realpath, stat } from 'node:fs/promises'
import { AppError, errnoOf } from '../../errors.ts'
import { replaceFile } from '../../lib/replace-file.ts'
import { randomUuid } from '../../native/random.ts'

/** What is to become of a file. */
interface Rewrite {
  /**
   * Returns the new content, or undefined if the present one (empty where there is no file) is to stay. May be called
   * again.
   */
  readonly edit: (content: Buffer) => Buffer | undefined | Promise<Buffer | undefined>
  /** Permission bits to set; default: those it has, or 0644. */
  readonly mode?: number
}

/**
 * Largest file that is read whole: a list of millions of blocked hosts has some 10 MB, all certificates have 0.2 MB.
 */
const MAX_FILE = 32 * 1024 * 1024

/** Another program may write the same file meanwhile; one that does so all the time is a runaway. */
const MAX_ATTEMPTS = 10

/**
 * A file that is a mount point cannot be replaced, and beside a file on its own mount there may be no room to write.
 */
const NOT_REPLACEABLE = new Set(['EBUSY', 'EROFS', 'EACCES', 'EPERM'])

/** A file as it was read. */
interface Content {
  readonly bytes: Buffer
  /** Undefined: there is none. */
  readonly stats: BigIntStats | undefined
}

/**
 * Edits a file so that readers, and a crash at any time, find the old or the new content (`replaceFile`), with mode and
 * owner kept and symbolic links followed. Where that cannot be (a bind mount of the file alone, as
 * /etc/hosts in containers), it is written in place. Other writers' changes are not lost, but for those in the instant
 * of the renaming. Resolves with whether anything was written; rejects with the system error, or AppError
 * `resource_exhausted` for a file that is too large and `aborted` for one that never rests.
 */
export async function rewriteFile(path: string, rewrite: Rewrite): Promise<boolean> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const target = await realpath(path).catch(() => path)
    const before = await readContent(target)
    const bytes = await rewrite.edit(before.bytes)
    if (bytes === undefined) return false
    if (await writeUnlessChanged(target, before, { bytes, mode: rewrite.mode })) return true
  }
  throw new AppError('aborted', `${path} is written all the time by another process`)
}

/** Reads a regular file whole; a missing one is empty. Rejects like `rewriteFile`. */
export async function readContent(path: string): Promise<Content> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (file === undefined) return { bytes: Buffer.alloc(0), stats: undefined }
  try {
    const stats = await file.stat({ bigint: true })
    if (!stats.isFile()) throw new AppError('failed_precondition', `${path} is not a regular file`)
    if (stats.size > MAX_FILE) throw new AppError('resource_exhausted', `${path} is larger than ${MAX_FILE} bytes`)
    return { bytes: await file.readFile(), stats }
  } finally {
    await file.close()
  }
}

async function writeUnlessChanged(
  path: string,
  before: Content,
  next: { readonly bytes: Buffer; readonly mode: number | undefined },
): Promise<boolean> {
  const { stats } = before
  try {
    return await replaceFile(path, next.bytes, {
      mode: next.mode ?? (stats === undefined ? 0o644 : Number(stats.mode & 0o7777n)),
      owner: stats && { uid: Number(stats.uid), gid: Number(stats.gid) },
      temporary: `${path}.e2b.${randomUuid()}.tmp`,
      durable: true,
      condition: () => isUnchanged(path, stats),
    })
  } catch (error) {
    if (stats === undefined || !NOT_REPLACEABLE.has(errnoOf(error) ?? '')) throw error
    if (!(await isUnchanged(path, stats))) return false
    await writeInPlace(path, before.bytes, next.bytes)
    return true
  }
}

async function isUnchanged(path: string, before: BigIntStats | undefined): Promise<boolean> {
  const now = await stat(path, { bigint: true }).catch(() => undefined)
  if (now === undefined || before === undefined) return now === before
  return now.ino === before.ino && now.size === before.size && now.mtimeNs === before.mtimeNs
}

/** Bytes that stay are written again as they are: a reader misses nothing of them meanwhile. */
async function writeInPlace(path: string, before: Buffer, bytes: Buffer): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.writeFile(bytes)
    await file.truncate(bytes.length)
    await file.datasync()
  } catch (error) {
    // What was there needs no more room than it has.
    await file.write(before, 0, before.length, 0).catch(() => {})
    await file.truncate(before.length).catch(() => {})
    throw error
  } finally {
    await file.close()
  }
}
