import { constants } from 'node:fs'
import { AppError } from '../errors.ts'
import { type Opened, type Unnamed, unpackOpened } from '../native/entries.ts'
import { closeFile, truncateFile } from '../native/file-calls.ts'
import { openToWrite } from '../native/files.ts'
import { permitted } from './file-user.ts'
import { forgiveOwner, type Owner } from './ownership.ts'

/** A file that is to be written from its start. */
export interface OpenedFile {
  /** The caller closes it. */
  readonly fd: number
  /** It was not there before. */
  readonly made: boolean
  /** Bytes of its old content, which are there still. */
  readonly size: number
  /** A device that keeps nothing. */
  readonly device: boolean
  /** Set: it was made without a name, which it gets when it is whole (`nameNewFile`). */
  readonly unnamed?: Unnamed | undefined
}

/**
 * Opens a file to be written anew, in place; makes it for its owner where it is missing. Rejects with AppError
 * (invalid_argument for what is no file, permission_denied) or with the system error.
 */
export async function openAnew(path: string, owner: Owner, how: OpeningMode): Promise<OpenedFile> {
  const { empty = false, append = false, unnamed = false } = how
  const open = () => openToWrite(Buffer.from(path), owner, empty, append, unnamed)
  return toOpenedFile(unpackOpened(await permitted(path, open)), { path, owner, empty })
}

/** How a file is opened. */
interface OpeningMode {
  /** Its old content goes at once. */
  readonly empty?: boolean
  /** Every write goes to its end. */
  readonly append?: boolean
  /** One that is missing gets its name when it is whole, where the filesystem can do that. */
  readonly unnamed?: boolean
}

/** The file that was opened so, in every respect. Rejects as `openAnew`, and the file is closed then. */
export async function toOpenedFile(
  opened: Opened,
  { path, owner, empty }: { readonly path: string; readonly owner: Owner; readonly empty: boolean },
): Promise<OpenedFile> {
  const { fd, mode, made, size, ownerError, unnamed } = opened
  const kind = mode & constants.S_IFMT
  if (fd === undefined) {
    if (kind === constants.S_IFDIR) throw isDirectory(path)
    throw new AppError('invalid_argument', `path is not a regular file: ${path}`)
  }
  const file = { fd, made, size, device: kind === constants.S_IFCHR, unnamed }
  if (ownerError === '') return file
  try {
    await forgiveOwner(fd, owner, Object.assign(new Error('fchown'), { code: ownerError }))
    if (!empty) return file
    await truncateFile(fd, 0)
    return { ...file, size: 0 }
  } catch (error) {
    if (unnamed !== undefined) await closeFile(unnamed.parent)
    await closeFile(fd)
    throw error
  }
}

/** The refusal to write a directory. */
export function isDirectory(path: string): AppError {
  return new AppError('invalid_argument', `path is a directory: ${path}`)
}
