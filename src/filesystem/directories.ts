import { mkdir, rmdir, stat } from 'node:fs/promises'
import { posix } from 'node:path'
import { fileErrno } from './failure.ts'
import { giveDirectoryTo, type Owner } from './ownership.ts'
import { inWriteTurn } from './write-turns.ts'

const DIRECTORY_MODE = 0o755

/** Something that is no directory stands where one is needed. */
export class NotADirectory extends Error {
  constructor(path: string) {
    super(`path is a file: ${path}`)
    this.name = 'NotADirectory'
  }
}

/**
 * Makes a directory and its missing parents, one level at a time, 0755 less the umask, and gives those that it made to
 * their owner; existing ones stay as they are, and others may make the same ones meanwhile (contract B38, C14).
 * @param path absolute and clean.
 * @returns whether `path` itself was made here.
 * Rejects with NotADirectory, with what `giveTo` rejects with, or with the system error. One that could not be given away is removed.
 */
export async function ensureDirectory(path: string, owner: Owner): Promise<boolean> {
  if (await isDirectory(path)) return false
  const parent = posix.dirname(path)
  if (parent !== path) await ensureDirectory(parent, owner)
  try {
    await inWriteTurn(() => mkdir(path, DIRECTORY_MODE))
  } catch (error) {
    if (fileErrno(error) === 'EEXIST' && (await isDirectory(path))) return false
    throw error
  }
  try {
    await inWriteTurn(() => giveDirectoryTo(path, owner))
  } catch (error) {
    // Nobody has asked for a directory of the daemon's own. Others may have put something into it, and then it stays.
    await inWriteTurn(() => rmdir(path)).catch(() => {})
    throw error
  }
  return true
}

/** Follows links. False: nothing is there. Rejects with NotADirectory or with the system error. */
async function isDirectory(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true
  } catch (error) {
    // A file further up is found, and named, when its own level is looked at.
    if (fileErrno(error) === 'ENOENT' || fileErrno(error) === 'ENOTDIR') return false
    throw error
  }
  throw new NotADirectory(path)
}
