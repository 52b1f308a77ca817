import { unpackDirectories } from '../native/entries.ts'
import { makeDirectories } from '../native/files.ts'
import { permitted } from './file-user.ts'
import { type Owner, ownerRefusal } from './ownership.ts'

/** Something that is no directory stands where one is needed. */
class NotADirectory extends Error {
  constructor(path: string) {
    super(`path is a file: ${path}`)
    this.name = 'NotADirectory'
  }
}

/**
 * Makes a directory and its missing parents, one level at a time, 0755 less the umask, and returns those that it made
 * to their owner; existing ones stay as they are, and others may make the same ones meanwhile (contract B38, C14).
 * @param path absolute and clean.
 * @returns whether `path` itself was made here. Rejects with NotADirectory, with AppError permission_denied, or with
 * the system error. One that could not be given away is removed.
 */
export async function ensureDirectory(path: string, owner: Owner): Promise<boolean> {
  const made = permitted(path, () => makeDirectories(Buffer.from(path), owner))
  const { made: here, file } = unpackDirectories(
    await made.catch((error: unknown) => Promise.reject(notGiven(error, owner))),
  )
  if (file !== undefined) throw new NotADirectory(file)
  return here
}

function notGiven(error: unknown, owner: Owner): unknown {
  const giving = error instanceof Error && 'syscall' in error && error.syscall === 'fchown'
  return giving ? (ownerRefusal(owner, error) ?? error) : error
}
