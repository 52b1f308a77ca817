import { AppError, type ErrorKind, errnoKind } from '../errors.ts'
import { fileErrno, reasonOf } from '../filesystem/failure.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { errnoText } from '../lib/errno-text.ts'

/** What a failure to make an entry means: its kind, and its reason where the kernel's words say too little. */
const FAILURES: Readonly<Record<string, readonly [ErrorKind, string?]>> = {
  EEXIST: ['already_exists', 'a directory stands there'],
  ENOTDIR: ['already_exists', 'something stands where it needs a directory'],
  ELOOP: ['permission_denied', 'it leads through a link, which is not followed'],
  EXDEV: ['aborted', 'it is another name of a file in another filesystem'],
  ENOENT: ['invalid_argument', 'it is another name of what is not there, or its directory has gone'],
  EINVAL: ['invalid_argument'],
  ENAMETOOLONG: ['invalid_argument'],
  ENOSPC: ['no_space'],
  EDQUOT: ['no_space'],
  EROFS: ['permission_denied'],
  EACCES: ['permission_denied'],
  EPERM: ['permission_denied'],
  EMLINK: ['aborted'],
}

/** The AppError for an entry that could not be made, by the name of the errno. */
export function entryError(path: Buffer, errno: string, { name }: FileUser, cause?: unknown): AppError {
  const [kind, reason] = FAILURES[errno] ?? [errnoKind(errno)]
  const who = errno === 'EPERM' || errno === 'EACCES' ? ` for user '${name}'` : ''
  const text = reason ?? `${errnoText(errno)}${who}`
  return new AppError(kind, `error unpacking entry '${path}': ${text}`, { cause })
}

/** The same for an error; an AppError stays as it is. */
export function unpackFailure(path: Buffer, error: unknown, owner: FileUser): AppError {
  if (error instanceof AppError) return error
  const errno = fileErrno(error)
  if (errno !== undefined) return entryError(path, errno, owner, error)
  return new AppError('internal', `error unpacking entry '${path}': ${reasonOf(error)}`, { cause: error })
}
