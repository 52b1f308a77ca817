import { AppError, type ErrorKind, errnoKind, errnoOf } from '../errors.ts'
import { errnoText } from '../lib/errno-text.ts'

/** The errno name of a failed file operation; a path with a NUL byte, which never reaches the kernel, is EINVAL. */
export function fileErrno(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ERR_INVALID_ARG_VALUE') return 'EINVAL'
  return errnoOf(error)
}

/** The kernel's words for a failed file operation; the error's own message where no errno is known. */
export function reasonOf(error: unknown): string {
  const errno = fileErrno(error)
  if (errno === 'ETIMEDOUT') return `${errnoText(errno)}: the filesystem does not answer`
  if (errno !== undefined) return errnoText(errno)
  return error instanceof Error ? error.message : String(error)
}

/** `open /a/b: no such file or directory`: how clients know failed file operations. */
export function failure(operation: string, path: string, error: unknown): string {
  return `${operation} ${path}: ${reasonOf(error)}`
}

/** Disk, inodes or quota used up. */
export function isOutOfSpace(error: unknown): boolean {
  const errno = fileErrno(error)
  return errno === 'ENOSPC' || errno === 'EDQUOT'
}

/** The kind of a failed file operation whose errno has no meaning of its own there (`errnoKind`). */
export function failureKind(error: unknown): ErrorKind {
  return errnoKind(fileErrno(error) ?? '')
}

/** Whether a write in one step failed for what would hinder one in place, too: the machine, or its disk. */
export function hindersEveryWrite(error: unknown): boolean {
  return failureKind(error) !== 'internal' || fileErrno(error) === 'EIO'
}

/** Whether an AppError is of a kind that may be gone when the same is asked for again. */
export function isPassing(error: unknown): boolean {
  return error instanceof AppError && (error.kind === 'budget_spent' || error.kind === 'unavailable')
}
