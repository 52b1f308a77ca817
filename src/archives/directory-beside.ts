import { posix } from 'node:path'
import { AppError } from '../errors.ts'
import { ensureDirectory } from '../filesystem/directories.ts'
import { fileErrno, hindersEveryWrite, reasonOf } from '../filesystem/failure.ts'
import { type FileUser, permitted } from '../filesystem/file-user.ts'
import { ownerRefusal } from '../filesystem/ownership.ts'
import { errorFields } from '../lib/error-fields.ts'
import type { Log } from '../log.ts'
import { changeMode, changeOwner, closeFile } from '../native/file-calls.ts'
import { removeOpened } from '../native/files.ts'
import { type DirectoryBeside, openDirectoryBeside, placeDirectory, unpackDirectoryBeside } from '../native/unpack.ts'

/** A directory that has its place when it is whole. */
export interface Beside {
  readonly root: number
  /** Its owner and permissions are those of the directory that it replaces, else the user's and 0755. */
  giveToOwner(): Promise<void>
  /** Puts it in its place in one step. Rejects with AppError. */
  place(): Promise<void>
  /** Removes what stands under the temporary name then: itself, or what it has replaced. Never rejects. */
  close(): Promise<void>
}

/** Where it belongs. */
interface Placing {
  /** Absolute and clean. */
  readonly path: string
  readonly owner: FileUser
  /** `create`: nothing may be there. */
  readonly mode: string
  readonly log: Log
}

const NEW_DIRECTORY_MODE = 0o755

/**
 * Makes a directory beside the one at a path, or beside where it would be. Rejects with AppError or the system error.
 */
export async function openBeside({ path, owner, mode, log }: Placing): Promise<Beside> {
  const open = () => permitted(path, () => openDirectoryBeside(Buffer.from(path), owner))
  const opening = open().catch(async (error: unknown) => {
    if (fileErrno(error) !== 'ENOENT') throw error
    await ensureDirectory(posix.dirname(path), owner)
    return open()
  })
  const beside = unpackDirectoryBeside(await opening.catch((error: unknown) => Promise.reject(openError(path, error))))
  const { root, parent, temporary, name, existing } = beside
  // What has the temporary name; -1: nothing.
  let rest = root
  const close = async () => {
    if (rest >= 0)
      await removeOpened(rest, parent, temporary, owner).catch((error: unknown) => {
        log.warn({ ...errorFields(error) }, 'the rest of a replaced directory could not be removed')
      })
    for (const open of new Set([root, rest, parent])) if (open >= 0) await closeFile(open)
  }
  if (existing !== undefined && mode === 'create') {
    await close()
    throw new AppError('already_exists', `path '${path}' exists already`)
  }
  return {
    root,
    giveToOwner: () => give(beside, owner),
    place: async () => {
      const placing = placeDirectory(root, parent, temporary, name, owner, existing?.uid)
      const placed = await placing.catch((error: unknown) => Promise.reject(placeError(path, error)))
      rest = placed.readInt32LE(0)
    },
    close,
  }
}

async function give({ root, existing }: DirectoryBeside, owner: FileUser): Promise<void> {
  const { uid, gid } = existing ?? owner
  await changeOwner(root, uid, gid).catch((error: unknown) => {
    if (uid !== process.geteuid?.()) throw ownerRefusal(owner, error) ?? error
  })
  await changeMode(root, existing?.mode ?? NEW_DIRECTORY_MODE)
}

function openError(path: string, error: unknown): unknown {
  if (error instanceof AppError || hindersEveryWrite(error)) return error
  if (fileErrno(error) === 'ENOTDIR') return new AppError('invalid_argument', `path '${path}' is not a directory`)
  return inOneStep(path, error)
}

function placeError(path: string, error: unknown): unknown {
  if (fileErrno(error) === 'EEXIST') return new AppError('already_exists', `path '${path}' exists already`)
  return hindersEveryWrite(error) && fileErrno(error) !== 'ESTALE' ? error : inOneStep(path, error)
}

function inOneStep(path: string, cause: unknown): AppError {
  const why = `it cannot be replaced in one step: ${reasonOf(cause)}`
  return new AppError('aborted', `path '${path}': ${why}; mode=overwrite unpacks into it`, { cause })
}
