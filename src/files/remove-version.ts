import { AppError } from '../errors.ts'
import { entityTagOf } from '../filesystem/entity-tag.ts'
import { failure, failureKind, fileErrno } from '../filesystem/failure.ts'
import { type FileUser, permitted } from '../filesystem/file-user.ts'
import { conditionFailed } from '../filesystem/write-condition.ts'
import { closeFile, statFile } from '../native/file-calls.ts'
import { openToRead, removeFile } from '../native/files.ts'

/**
 * Removes a file that has the tag. Rejects with AppError: condition_failed if it has another one or is gone,
 * permission_denied, internal.
 */
export async function removeVersion(path: string, owner: FileUser, tag: string): Promise<void> {
  try {
    const fd = (await permitted(path, () => openToRead(Buffer.from(path), owner))).readInt32LE(0)
    if (fd < 0) throw conditionFailed(path)
    try {
      if (entityTagOf(await statFile(fd)) !== tag) throw conditionFailed(path)
      await permitted(path, () => removeFile(Buffer.from(path), owner, fd))
    } finally {
      await closeFile(fd)
    }
  } catch (error) {
    if (error instanceof AppError) throw error
    if (['ENOENT', 'ESTALE', 'ENOTDIR'].includes(fileErrno(error) ?? '')) throw conditionFailed(path)
    throw new AppError(failureKind(error), `error removing file: ${failure('unlink', path, error)}`, { cause: error })
  }
}
