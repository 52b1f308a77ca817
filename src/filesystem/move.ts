import { posix } from 'node:path'
import { AppError } from '../errors.ts'
import { cleanPath } from '../lib/clean-path.ts'
import { readEntry, renameEntry } from '../native/files.ts'
import { ensureDirectory } from './directories.ts'
import { failureKind, fileErrno, reasonOf } from './failure.ts'
import { permitted } from './file-user.ts'
import { moveAcross } from './move-across.ts'
import type { Owner } from './ownership.ts'

/** No name has a zero byte, and so no attribute is looked for. */
const NO_ATTRIBUTES = '\0'

/** What goes where. Both paths are absolute. */
interface MoveOptions {
  readonly source: string
  readonly destination: string
  /** Owner of the parents that are made. */
  readonly owner: Owner
  readonly signal: AbortSignal
}

/**
 * Moves a file, link or directory, and replaces a file at the destination; owner, mode and metadata stay (contract C15
 * to C17). To another filesystem it is copied, takes its place in one step, and is then deleted. Rejects with AppError:
 * not_found, internal.
 */
export async function movePath(options: MoveOptions): Promise<void> {
  const { source, destination, owner } = options
  const failed = (error: unknown) => moveError(options, error)
  await permitted(source, () => readEntry(Buffer.from(source), NO_ATTRIBUTES, owner)).catch((error: unknown) => {
    throw failed(error)
  })
  try {
    await ensureDirectory(posix.dirname(cleanPath(destination)), owner)
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError(failureKind(error), `error ensuring directories: ${reasonOf(error)}`, { cause: error })
  }
  const [from, to] = [Buffer.from(source), Buffer.from(destination)]
  try {
    await permitted(source, () => renameEntry(from, to, owner))
  } catch (error) {
    // The copy is made with the daemon's rights.
    if (fileErrno(error) !== 'EXDEV' || owner.groups !== undefined) throw failed(error)
    await moveAcross(options).catch((reason: unknown) => {
      throw failed(reason)
    })
  }
}

function moveError(options: MoveOptions, error: unknown): AppError {
  if (error instanceof AppError) return error
  const reason = `rename ${options.source} ${options.destination}: ${reasonOf(error)}`
  if (fileErrno(error) === 'ENOENT') {
    return new AppError('not_found', `source file not found: ${reason}`, { cause: error })
  }
  return new AppError(failureKind(error), `error renaming: ${reason}`, { cause: error })
}
