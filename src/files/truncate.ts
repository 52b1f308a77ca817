import { AppError } from '../errors.ts'
import { checkDownload } from '../filesystem/download.ts'
import { issueTag } from '../filesystem/entity-tag.ts'
import { failure, failureKind } from '../filesystem/failure.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { finishWithMetadata } from '../filesystem/metadata.ts'
import { openAnew } from '../filesystem/open-anew.ts'
import type { Log } from '../log.ts'
import { closeFile, truncateFile as setLength } from '../native/file-calls.ts'

/**
 * Makes a file that is there so many bytes long, in place, and returns its tag. Rejects with AppError: not_found,
 * invalid_argument for what is no regular file or for a size that no file here can have, permission_denied, no_space,
 * internal.
 */
export async function truncateFile(
  path: string,
  size: bigint,
  { owner, log }: { readonly owner: FileUser; readonly log: Log },
): Promise<string> {
  await checkDownload(path, owner)
  if (size > BigInt(Number.MAX_SAFE_INTEGER)) throw tooLong(path)
  const { fd, device } = await openAnew(path, owner, {}).catch((error: unknown) => Promise.reject(failed(path, error)))
  try {
    if (device) throw new AppError('invalid_argument', `path '${path}' is not a regular file`)
    await setLength(fd, Number(size))
  } catch (error) {
    await closeFile(fd)
    throw failed(path, error)
  }
  return issueTag((await finishWithMetadata(fd, { metadata: undefined, stamp: true, log })).version)
}

function failed(path: string, error: unknown): AppError {
  if (error instanceof AppError) return error
  if (error instanceof Error && 'code' in error && (error.code === 'EFBIG' || error.code === 'EINVAL'))
    return tooLong(path)
  return new AppError(failureKind(error), `error truncating file: ${failure('ftruncate', path, error)}`, {
    cause: error,
  })
}

function tooLong(path: string): AppError {
  return new AppError('invalid_argument', `path '${path}' cannot be that long`)
}
