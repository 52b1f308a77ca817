import { constants } from 'node:fs'
import { AppError } from '../errors.ts'
import { type FileVersion, unpackStatus, unpackVersion } from '../native/entries.ts'
import { changeMode, statFile } from '../native/file-calls.ts'
import { readStatus } from '../native/files.ts'
import { entityTagOf } from './entity-tag.ts'
import { isKind } from './entry.ts'
import { fileErrno } from './failure.ts'
import { type FileUser, permitted } from './file-user.ts'

/**
 * Whether a file may be written, as it is: its tag and its time of modification in seconds since 1970; undefined: there
 * is none.
 */
export type WriteCondition = (current: { readonly tag: string; readonly modified: number } | undefined) => boolean

/** Permissions without the bits that change whose rights a program has. */
export const PERMISSIONS = 0o777

/** The refusal of a write whose condition does not hold. */
export function conditionFailed(path: string): AppError {
  return new AppError('condition_failed', `path '${path}' is not as the request's condition expects it`)
}

/** Throws AppError condition_failed if the condition does not hold for a version; undefined: there is no file. */
export function checkCondition(condition: WriteCondition, path: string, version: FileVersion | undefined): void {
  const current = version && { tag: entityTagOf(version), modified: Number(version.mtimeNs / 1_000_000_000n) }
  if (!condition(current)) throw conditionFailed(path)
}

/** Looks at a file by path and checks the condition. Rejects with AppError. */
export async function checkAtPath(
  condition: WriteCondition,
  path: string,
  owner: FileUser,
): Promise<Buffer | undefined> {
  const version = await versionAt(path, owner)
  checkCondition(condition, path, version && unpackVersion(version))
  return version
}

async function versionAt(path: string, owner: FileUser): Promise<Buffer | undefined> {
  try {
    const { mode, version } = unpackStatus(await permitted(path, () => readStatus(Buffer.from(path), owner)))
    return isKind(mode, constants.S_IFREG) ? version : undefined
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(fileErrno(error) ?? '')) return undefined
    throw error
  }
}

/** Sets the mode of an open file of the user's own. Rejects with AppError permission_denied for another user's. */
export async function setMode(
  fd: number,
  mode: number,
  { path, owner }: { path: string; owner: FileUser },
): Promise<void> {
  const { uid } = await statFile(fd)
  if (owner.uid !== 0 && uid !== owner.uid)
    throw new AppError('permission_denied', `the mode of '${path}' can be set by its owner only`)
  await changeMode(fd, mode)
}
