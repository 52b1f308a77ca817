import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { checkDownload, openDownload } from '../filesystem/download.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { MAX_EDITED_BYTES } from './limits.ts'

/** A regular file as it was at one moment. */
export interface WholeFile {
  readonly content: Buffer
  /** Its strong entity tag. */
  readonly tag: string
}

interface ReadOptions {
  readonly owner: FileUser
  /** Grows by the content; the caller releases it. */
  readonly hold: Hold
  readonly signal: AbortSignal
}

/**
 * Reads a file to edit it; undefined: there is none. Rejects with AppError: invalid_argument for what is no regular
 * file or has no size of its own, too_large above 8 MiB, condition_failed for one that is written all the time,
 * permission_denied, budget_spent.
 */
export async function readWhole(path: string, { owner, hold, signal }: ReadOptions): Promise<WholeFile | undefined> {
  try {
    await checkDownload(path, owner)
  } catch (error) {
    if (error instanceof AppError && error.kind === 'not_found') return undefined
    throw error
  }
  for (let tries = 1; ; tries++) {
    signal.throwIfAborted()
    const file = await readOnce(path, { owner, hold, signal })
    if (!file.tag.startsWith('W/')) return file
    if (tries === MAX_TRIES) throw changing(path)
    hold.shrink(file.content.length)
  }
}

/** A file that is written all the time has a weak tag, which is looked at anew after some milliseconds. */
const MAX_TRIES = 3

function changing(path: string): AppError {
  return new AppError('condition_failed', `path '${path}' is being written by another process`)
}

async function readOnce(path: string, { owner, hold, signal }: ReadOptions): Promise<WholeFile> {
  const file = await openDownload(path, owner, hold)
  try {
    const { size, tag, head } = file
    if (size === undefined || tag === undefined)
      throw new AppError('invalid_argument', `path '${path}' is not a regular file that can be edited`)
    if (size > MAX_EDITED_BYTES)
      throw new AppError('too_large', `path '${path}' has ${size} bytes, at most ${MAX_EDITED_BYTES} can be edited`)
    if (head.length === size) return { content: head, tag }
    hold.grow(size)
    const content = Buffer.allocUnsafeSlow(size)
    for (let at = head.copy(content); at < size; ) {
      signal.throwIfAborted()
      const bytes = await file.read(content.subarray(at), at)
      if (bytes === 0) throw changing(path)
      at += bytes
    }
    hold.shrink(head.length)
    return { content, tag }
  } finally {
    await file.close()
  }
}
