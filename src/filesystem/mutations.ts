import { constants } from 'node:fs'
import { AppError } from '../errors.ts'
import { cleanPath } from '../lib/clean-path.ts'
import { withoutTrailing } from '../lib/without-trailing.ts'
import { unpackStatus } from '../native/entries.ts'
import { type Actor, readStatus, removeTree } from '../native/files.ts'
import { ensureDirectory } from './directories.ts'
import { isKind } from './entry.ts'
import { failure, failureKind, fileErrno, reasonOf } from './failure.ts'
import { permitted } from './file-user.ts'
import type { Owner } from './ownership.ts'

/**
 * Makes a directory and its missing parents for their owner (contract C14). Rejects with AppError: already_exists,
 * invalid_argument where something else stands, internal.
 */
export async function makeDirectory(path: string, owner: Owner): Promise<void> {
  const packed = await permitted(path, () => readStatus(Buffer.from(path), owner)).catch((error: unknown) => {
    if (error instanceof AppError) throw error
    if (fileErrno(error) === 'ENOENT') return undefined
    throw new AppError(failureKind(error), `error getting file info: ${failure('stat', path, error)}`, { cause: error })
  })
  if (packed !== undefined) {
    if (isKind(unpackStatus(packed).mode, constants.S_IFDIR)) throw exists(path)
    throw new AppError('invalid_argument', `path already exists but it is not a directory: ${path}`)
  }
  const made = await ensureDirectory(cleanPath(path), owner).catch((error: unknown) => {
    if (error instanceof AppError) throw error
    throw new AppError(failureKind(error), `error creating directory ${path}: ${reasonOf(error)}`, { cause: error })
  })
  if (!made) throw exists(path)
}

function exists(path: string): AppError {
  return new AppError('already_exists', `directory already exists: ${path}`)
}

/**
 * Deletes a path with everything below it, links themselves and not what they lead to; a missing path is no error
 * (contract C18). Rejects with AppError internal; what could be deleted is gone then.
 * @param path absolute, without `.` or `..` at its end. The root is refused.
 */
export async function removePath(path: string, actor: Actor): Promise<void> {
  const target = withoutTrailing(path, '/')
  if (cleanPath(path) === '/') throw new AppError('invalid_argument', 'the root directory cannot be removed')
  try {
    await permitted(path, () => removeTree(Buffer.from(target), actor))
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError(failureKind(error), `error removing file or directory: ${failure('unlinkat', path, error)}`, {
      cause: error,
    })
  }
}
