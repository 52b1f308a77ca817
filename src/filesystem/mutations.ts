import { stat } from 'node:fs/promises'
import { AppError } from '../errors.ts'
import { cleanPath } from '../lib/clean-path.ts'
import { removeTree } from '../native/index.ts'
import { ensureDirectory } from './directories.ts'
import { failure, fileErrno, reasonOf } from './failure.ts'
import type { Owner } from './ownership.ts'
import { inWriteTurn } from './write-turns.ts'

/**
 * Makes a directory and its missing parents for their owner (contract C14). Rejects with AppError: already_exists,
 * invalid_argument where something else stands, internal.
 */
export async function makeDirectory(path: string, owner: Owner): Promise<void> {
  const stats = await stat(path).catch((error: unknown) => {
    if (fileErrno(error) === 'ENOENT') return undefined
    throw new AppError('internal', `error getting file info: ${failure('stat', path, error)}`, { cause: error })
  })
  if (stats?.isDirectory()) throw exists(path)
  if (stats !== undefined) {
    throw new AppError('invalid_argument', `path already exists but it is not a directory: ${path}`)
  }
  const made = await ensureDirectory(cleanPath(path), owner).catch((error: unknown) => {
    if (error instanceof AppError) throw error
    throw new AppError('internal', `error creating directory ${path}: ${reasonOf(error)}`, { cause: error })
  })
  if (!made) throw exists(path)
}

function exists(path: string): AppError {
  return new AppError('already_exists', `directory already exists: ${path}`)
}

/**
 * Deletes a path with everything below it, links themselves and not what they lead to; a missing path is no error (contract C18).
 * Rejects with AppError internal; what could be deleted is gone then.
 * @param path absolute, without `.` or `..` at its end. The root is refused.
 */
export async function removePath(path: string): Promise<void> {
  const target = path.replace(/\/+$/, '')
  if (cleanPath(path) === '/') throw new AppError('invalid_argument', 'the root directory cannot be removed')
  try {
    await inWriteTurn(() => removeTree(Buffer.from(target)))
  } catch (error) {
    throw new AppError('internal', `error removing file or directory: ${failure('unlinkat', path, error)}`, {
      cause: error,
    })
  }
}
