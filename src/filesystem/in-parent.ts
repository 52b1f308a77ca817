import { posix } from 'node:path'
import { AppError } from '../errors.ts'
import { cleanPath } from '../lib/clean-path.ts'
import { ensureDirectory } from './directories.ts'
import { failureKind, fileErrno } from './failure.ts'
import type { FileUser } from './file-user.ts'
import { isDirectory } from './open-anew.ts'
import type { UploadTarget } from './upload.ts'
import { reasonText } from './upload-failure.ts'

/**
 * Makes parent directories where they are missing; a path that leads through what is not there is cleaned (contract
 * B41).
 */
export async function inParent<T>(
  { path, owner }: Pick<UploadTarget, 'path' | 'owner'>,
  write: (path: string) => Promise<T>,
): Promise<T> {
  if (path.endsWith('/')) throw isDirectory(path)
  const isMissing = (error: unknown) => fileErrno(error) === 'ENOENT' || fileErrno(error) === 'ENOTDIR'
  const clean = cleanPath(path)
  try {
    return await write(path)
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  await ensureParent(clean, owner)
  try {
    return await write(path)
  } catch (error) {
    if (path === clean || !isMissing(error)) throw error
  }
  return write(clean)
}

async function ensureParent(path: string, owner: FileUser): Promise<void> {
  try {
    await ensureDirectory(posix.dirname(path), owner)
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError(failureKind(error), `error ensuring directories: ${reasonText(error)}`, { cause: error })
  }
}
