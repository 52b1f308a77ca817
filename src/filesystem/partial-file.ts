import { constants } from 'node:fs'
import { readlink } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { AppError } from '../errors.ts'
import { closeFile, freeBytes, openPath, readInto, statFile, statPath, unlinkPath } from '../native/file-calls.ts'
import { issueTag } from './entity-tag.ts'
import { failureKind, fileErrno, reasonOf } from './failure.ts'
import type { StageTarget } from './store-beside.ts'
import { stageWhole, storeFile, type UploadTarget, withMadePlace } from './upload.ts'

/** Where a file is that comes in several requests: beside its target, for the daemon alone. */
export interface PartialPlace {
  /** Path of the directory without links, one character per byte. */
  readonly directory: string
  readonly name: string
  /** What identifies the file; decimal. */
  readonly device: string
  readonly inode: string
}

/** An empty one, and the room on its disk. */
interface MadePartial {
  readonly place: PartialPlace
  /** Bytes that are free. */
  readonly free: number
}

/**
 * Makes an empty file beside a target, which is checked as `storeFile` does; missing directories are made. Rejects with
 * AppError.
 */
export async function makePartial(target: StageTarget, name: string): Promise<MadePartial> {
  return withMadePlace(target, async (directory) => {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    const path = Buffer.from(`${directory}/${name}`)
    const fd = await openPath(path, flags, 0o600).catch((error: unknown) => {
      throw partialError('error making the file', error)
    })
    try {
      const [{ dev, ino }, free, real] = await Promise.all([statFile(fd), freeBytes(fd), readlink(directory, 'latin1')])
      const place = { directory: real, name, device: String(dev), inode: String(ino) }
      return { place, free }
    } catch (error) {
      await unlinkPath(path).catch(() => {})
      throw partialError('error making the file', error)
    } finally {
      await closePartial(fd)
    }
  })
}

/** Closes what `openPartial` has opened. Never rejects: what counts is on the disk. */
export const closePartial = (fd: number) => closeFile(fd)

/** Opens the file to append and to read; the caller closes it. Rejects with AppError, not_found if it is not there. */
export async function openPartial(place: PartialPlace): Promise<number> {
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK
  const fd = await openPath(pathOf(place), flags).catch((error: unknown) => {
    throw GONE.has(fileErrno(error) ?? '') ? goneError(error) : partialError('error opening the file', error)
  })
  try {
    const { dev, ino } = await statFile(fd)
    if (String(dev) === place.device && String(ino) === place.inode) return fd
    throw goneError()
  } catch (error) {
    await closePartial(fd)
    throw partialError('error opening the file', error)
  }
}

const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO'])

/** A failure of the file, in the words of its upload; an AppError stays as it is. */
export function partialError(what: string, error: unknown): AppError {
  if (error instanceof AppError) return error
  return new AppError(failureKind(error), `${what} of the upload: ${reasonOf(error)}`, { cause: error })
}

function goneError(cause?: unknown): AppError {
  return new AppError('not_found', 'what had come of the upload is not there any more', { cause })
}

/** Removes it, if it is there. Never rejects. */
export async function removePartial(place: PartialPlace): Promise<void> {
  try {
    const path = pathOf(place)
    const { dev, ino } = await statPath(path)
    if (String(dev) === place.device && String(ino) === place.inode) await unlinkPath(path)
  } catch {}
}

/**
 * Puts a whole file, open by `openPartial`, in its place in one step, and closes it in any case. Resolves with its
 * entity tag. Rejects with AppError as `storeFile` does.
 */
export async function placePartial(fd: number, { name }: PartialPlace, target: StageTarget): Promise<string> {
  const staged = await stageWhole({ fd, name: Buffer.from(name) }, target)
  try {
    return issueTag((await staged.place()).version)
  } finally {
    await staged.release()
  }
}

/** Whether the file has been put in the place of its target. Never rejects. */
export async function isPlaced({ device, inode }: PartialPlace, path: string): Promise<boolean> {
  const found = await statPath(Buffer.from(path)).catch(() => undefined)
  return found !== undefined && String(found.dev) === device && String(found.ino) === inode
}

/** Stores what several files have, one after the other. Resolves with the entity tag. Rejects as `storeFile`. */
export async function storePartials(
  places: readonly PartialPlace[],
  target: Omit<UploadTarget, 'content'>,
): Promise<string | undefined> {
  const source = Readable.from(contentOf(places), { objectMode: false, highWaterMark: COPY_BYTES })
  return (await storeFile(source, target)).tag
}

const COPY_BYTES = 256 * 1024

async function* contentOf(places: readonly PartialPlace[]): AsyncGenerator<Buffer, void> {
  for (const place of places) {
    const fd = await openPartial(place)
    try {
      while (true) {
        const buffer = Buffer.allocUnsafeSlow(COPY_BYTES)
        const bytesRead = await readInto(fd, buffer, null)
        if (bytesRead === 0) break
        yield buffer.subarray(0, bytesRead)
      }
    } finally {
      await closePartial(fd)
    }
  }
}

function pathOf({ directory, name }: PartialPlace): Buffer {
  return Buffer.from(`${directory}/${name}`, 'latin1')
}
