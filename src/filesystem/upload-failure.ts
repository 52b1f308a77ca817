import { AppError } from '../errors.ts'
import { CutShort, Stalled } from '../lib/pump.ts'
import { failure, failureKind, fileErrno, isOutOfSpace, reasonOf } from './failure.ts'
import { isDirectory } from './open-anew.ts'
import type { UploadTarget } from './upload.ts'

/** The AppError for a file that an upload could not open. */
export function openError(path: string, error: unknown): AppError {
  if (error instanceof AppError) return error
  if (error instanceof Error && 'syscall' in error && error.syscall === 'stat') {
    return new AppError(failureKind(error), `error getting file info: ${failure('stat', path, error)}`, {
      cause: error,
    })
  }
  const reason = failure('open', path, error)
  if (isOutOfSpace(error)) return new AppError('no_space', `not enough inodes available: ${reason}`, { cause: error })
  if (fileErrno(error) === 'EISDIR') return isDirectory(path)
  if (fileErrno(error) === 'ENXIO') return new AppError('invalid_argument', `path is not a regular file: ${path}`)
  return new AppError(failureKind(error), `error opening file: ${reason}`, { cause: error })
}

/** The AppError for an upload that failed while it was written. */
export function writeError(error: unknown, { announcedBytes }: Pick<UploadTarget, 'announcedBytes'>): AppError {
  if (error instanceof AppError) return error
  if (error instanceof Stalled) return new AppError('stalled', `error writing file: ${error.message}`)
  if (isOutOfSpace(error)) {
    const attempt = announcedBytes === undefined ? '' : `attempted to write ${announcedBytes} bytes: `
    return new AppError('no_space', `${attempt}not enough disk space available`, { cause: error })
  }
  return new AppError(failureKind(error), `error writing file: ${reasonText(error)}`, { cause: error })
}

/** Why something failed, with the call and the path where they are known. */
export function reasonText(error: unknown): string {
  if (error instanceof CutShort) return error.message
  if (error instanceof Error && 'syscall' in error && 'path' in error) {
    return failure(String(error.syscall), String(error.path), error)
  }
  return reasonOf(error)
}
