import { posix } from 'node:path'
import { AppError } from '../errors.ts'
import { ensureDirectory } from '../filesystem/directories.ts'
import { failure, failureKind, fileErrno } from '../filesystem/failure.ts'
import { type FileUser, permitted } from '../filesystem/file-user.ts'
import { ownerRefusal } from '../filesystem/ownership.ts'
import { cleanPath } from '../lib/clean-path.ts'
import { makeLink, readLink } from '../native/links.ts'

/**
 * Makes a symbolic link and missing directories above it, for their owner. Rejects with AppError: already_exists,
 * invalid_argument for an empty target or one with a zero byte, permission_denied, no_space, internal.
 * @param path absolute.
 */
export async function makeSymlink(target: string, path: string, owner: FileUser): Promise<void> {
  if (target === '' || target.includes('\0'))
    throw new AppError('invalid_argument', 'target must not be empty, nor have a zero byte')
  const clean = cleanPath(path)
  try {
    await ensureDirectory(posix.dirname(clean), owner)
    await permitted(path, () => makeLink(Buffer.from(clean), Buffer.from(target), owner))
  } catch (error) {
    if (error instanceof AppError) throw error
    if (fileErrno(error) === 'EEXIST')
      throw new AppError('already_exists', `path '${path}' exists already`, { cause: error })
    const giving = error instanceof Error && 'syscall' in error && error.syscall === 'fchown'
    const refusal = giving ? ownerRefusal(owner, error) : undefined
    throw (
      refusal ??
      new AppError(failureKind(error), `error making link: ${failure('symlink', path, error)}`, { cause: error })
    )
  }
}

/**
 * What a symbolic link says. Rejects with AppError: not_found, invalid_argument for what is none, permission_denied,
 * internal.
 */
export async function readSymlink(path: string, owner: FileUser): Promise<Buffer> {
  try {
    return await permitted(path, () => readLink(Buffer.from(path), owner))
  } catch (error) {
    if (error instanceof AppError) throw error
    const errno = fileErrno(error)
    if (errno === 'EINVAL') throw new AppError('invalid_argument', `path '${path}' is not a link`, { cause: error })
    const kind = errno === 'ENOENT' || errno === 'ENOTDIR' ? 'not_found' : failureKind(error)
    throw new AppError(kind, `error reading link: ${failure('readlink', path, error)}`, { cause: error })
  }
}
