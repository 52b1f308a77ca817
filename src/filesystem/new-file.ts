import { closeFile, statFile, truncateFile } from '../native/file-calls.ts'
import { moveContent, nameFile } from '../native/files.ts'
import { fileErrno } from './failure.ts'
import { permitted } from './file-user.ts'
import type { OpenedFile } from './open-anew.ts'
import type { Owner } from './ownership.ts'

/** Copied in one piece of work, so that a large file does not take a thread for long. */
const MOVED_BYTES = 32 * 1024 * 1024

/** What becomes of a file that is whole. */
interface Naming {
  readonly path: string
  readonly owner: Owner
  /** Opens what has taken the name meanwhile, or makes it. Rejects with AppError. */
  readonly openTaken: () => Promise<OpenedFile>
}

/**
 * Gives a whole file its name, if it has none yet. If something has taken the name meanwhile, or the directory is gone,
 * the content goes into what `openTaken` opens. The file that was given is closed then, in any case; the caller closes
 * the one that is returned. Rejects with AppError or the system error.
 */
export async function nameNewFile(file: OpenedFile, { path, owner, openTaken }: Naming): Promise<OpenedFile> {
  const { fd, unnamed } = file
  if (unnamed === undefined) return file
  const { parent, name } = unnamed
  try {
    const named = (await permitted(path, () => nameFile(fd, parent, name, owner))).readInt32LE(0)
    return { ...file, fd: named, unnamed: undefined }
  } catch (error) {
    if (fileErrno(error) !== 'EEXIST' && fileErrno(error) !== 'ENOENT') throw error
    const taken = await openTaken()
    await replaceBy(fd, taken)
    return taken
  } finally {
    await closeNew(file)
  }
}

/** Closes a file that has no name yet, with which it is gone, or one that has. Never rejects. */
export async function closeNew({ fd, unnamed }: OpenedFile): Promise<void> {
  await closeFile(fd)
  if (unnamed !== undefined) await closeFile(unnamed.parent)
}

async function replaceBy(fd: number, taken: OpenedFile): Promise<void> {
  try {
    if (!taken.device) await truncateFile(taken.fd, 0)
    await moveAll(fd, taken.fd, Number((await statFile(fd)).size))
  } catch (error) {
    if (!taken.device) await truncateFile(taken.fd, 0).catch(() => {})
    await closeFile(taken.fd)
    throw error
  }
}

/** Copies so many bytes from the start of a file to that of another one, and frees them in the first. */
export async function moveAll(from: number, to: number, bytes: number): Promise<void> {
  for (let at = 0; at < bytes; at += MOVED_BYTES) {
    const length = Math.min(MOVED_BYTES, bytes - at)
    await moveContent(from, to, at, length)
  }
}
