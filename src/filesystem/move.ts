import { posix } from 'node:path'
import { AppError } from '../errors.ts'
import { cleanPath } from '../lib/clean-path.ts'
import { readEntry, renameEntry } from '../native/files.ts'
import { ensureDirectory } from './directories.ts'
import { failureKind, fileErrno, reasonOf } from './failure.ts'
import { permitted, refusalOf } from './file-user.ts'
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
  const clean = cleanPath(destination)
  const failed = (error: unknown) => moveError(options, error)
  await permitted(source, () => readEntry(Buffer.from(source), NO_ATTRIBUTES, owner)).catch((error: unknown) => {
    throw failed(error)
  })
  try {
    await ensureDirectory(posix.dirname(clean), owner)
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError(failureKind(error), `error ensuring directories: ${reasonOf(error)}`, { cause: error })
  }
  try {
    await rename(options, destination).catch((error: unknown) => {
      // Its parents were made where the clean path leads, which may be through a missing directory and back.
      if (fileErrno(error) !== 'ENOENT' || clean === destination) throw error
      return rename(options, clean)
    })
  } catch (error) {
    // The copy is made with the daemon's rights.
    if (fileErrno(error) !== 'EXDEV' || owner.groups !== undefined) throw failed(error)
    await moveAcross(options).catch((reason: unknown) => {
      throw failed(reason)
    })
  }
}

/**
 * The source was looked at before, so a link that must not be followed is on the way to the destination; which of the
 * two directories is closed to the user the kernel does not say.
 */
async function rename({ source, owner }: MoveOptions, destination: string): Promise<void> {
  try {
    await renameEntry(Buffer.from(source), Buffer.from(destination), owner)
  } catch (error) {
    const closed = error instanceof Error && 'syscall' in error && error.syscall === 'rights'
    throw refusalOf(closed ? `rename ${source} ${destination}` : destination, error) ?? error
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
