import { AppError } from '../errors.ts'
import { openTree } from '../native/tree.ts'
import { failure, failureKind, fileErrno } from './failure.ts'
import { type FileUser, permitted } from './file-user.ts'

/**
 * Opens a directory whose tree is to be read; the caller closes the descriptor. Undefined: it is no directory. Rejects
 * with AppError not_found, permission_denied or internal.
 * @param path absolute.
 */
export async function openTreeRoot(path: string, owner: FileUser): Promise<number | undefined> {
  try {
    return (await permitted(path, () => openTree(Buffer.from(path), owner))).readInt32LE(0)
  } catch (error) {
    if (error instanceof AppError) throw error
    const errno = fileErrno(error)
    if (errno === 'ENOTDIR') return undefined
    if (errno === 'ENOENT') throw new AppError('not_found', `path '${path}' does not exist`, { cause: error })
    const text = `error opening directory '${path}': ${failure('open', path, error)}`
    throw new AppError(failureKind(error), text, { cause: error })
  }
}
