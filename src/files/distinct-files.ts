import { posix } from 'node:path'
import { AppError } from '../errors.ts'
import { fileErrno } from '../filesystem/failure.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { cleanPath } from '../lib/clean-path.ts'
import { forEachLimited } from '../lib/for-each-limited.ts'
import { unpackStatus } from '../native/entries.ts'
import { readStatus } from '../native/files.ts'

/** Paths that are looked at a time. */
const AT_ONCE = 8

/**
 * Rejects with AppError invalid_argument if two paths are one file, before any of them is read. What cannot be
 * looked at is not judged: reading it says what is wrong. Links may change afterwards, so that who writes checks again.
 * @param paths absolute.
 */
export async function checkDistinct(paths: readonly string[], owner: FileUser, signal: AbortSignal): Promise<void> {
  const places = new Map<string, string>()
  await forEachLimited(paths, AT_ONCE, async (path) => {
    signal.throwIfAborted()
    const place = (await identityOf(path, owner)) ?? cleanPath(path)
    const other = places.get(place)
    if (other !== undefined) throw new AppError('invalid_argument', `'${other}' and '${path}' are the same file`)
    places.set(place, path)
  })
}

/**
 * The file itself, also by another of its names; of what is not there, its place. Undefined: it cannot be looked at.
 */
async function identityOf(path: string, owner: FileUser): Promise<string | undefined> {
  const { file, errno } = await statusOf(path, owner)
  if (file !== undefined || errno !== 'ENOENT') return file
  const directory = await statusOf(posix.dirname(path), owner)
  return directory.file && `${directory.file}/${posix.basename(path)}`
}

async function statusOf(
  path: string,
  owner: FileUser,
): Promise<{ readonly file?: string; readonly errno?: string | undefined }> {
  try {
    const { device, inode } = unpackStatus(await readStatus(Buffer.from(path), owner))
    return { file: `${device}:${inode}` }
  } catch (error) {
    return { errno: fileErrno(error) }
  }
}
