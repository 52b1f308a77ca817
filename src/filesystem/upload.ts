import { posix } from 'node:path'
import type { Readable } from 'node:stream'
import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { baseName, cleanPath } from '../lib/clean-path.ts'
import { CutShort, pump, Stalled } from '../lib/pump.ts'
import type { Log } from '../log.ts'
import { removeFile } from '../native/files.ts'
import { ensureDirectory } from './directories.ts'
import { failure, fileErrno, isOutOfSpace, reasonOf } from './failure.ts'
import { createFileSink, type FileSink } from './file-sink.ts'
import type { FileUser } from './file-user.ts'
import { finishWithMetadata, type Metadata } from './metadata.ts'
import { closeWritten, emptyFile, isDirectory, type OpenedFile, openAnew } from './open-anew.ts'
import { createReplacement, type Replacement } from './replacement.ts'
import { withWriteSlot } from './write-semaphore.ts'

/** A file that was stored, as `POST /files` reports it (contract B37). */
export interface StoredFile {
  readonly name: string
  readonly path: string
  readonly type: 'file'
  readonly metadata?: Readonly<Record<string, string>>
}

/** Where an upload goes and under which conditions. */
export interface UploadTarget {
  /** Absolute, not necessarily clean. */
  readonly path: string
  readonly owner: FileUser
  readonly metadata: Metadata
  /** Bytes that the client announced, of the file or of the form that it is in. */
  readonly announcedBytes?: number | undefined
  /** All of it has come already, so that nothing can cut it off. */
  readonly whole?: boolean
  readonly signal: AbortSignal
  readonly idleMs?: number | undefined
  readonly log: Log
  /** Counts what waits for the disk. The caller releases it. */
  readonly hold: Hold
}

/**
 * Writes a stream into a file, in place: an existing file keeps inode, links and mode, and is given to the owner before
 * it is written (contract B38 to B45). Missing directories are made. A transfer that is cut off removes what it made,
 * and leaves what was there before as it was (`createReplacement`); on a full disk what fits stays. Rejects with
 * AppError: invalid_argument (directory, not a regular file), no_space, deadline_exceeded (no data), canceled or
 * internal.
 */
export async function storeFile(source: Readable, target: UploadTarget): Promise<StoredFile> {
  const file = await openTarget(target)
  await fill(file, source, target)
  const stored = { name: baseName(target.path), path: target.path, type: 'file' } as const
  if (file.device) return stored
  const metadata = await finishWithMetadata(file.fd, target.metadata, target.log)
  return metadata.size === 0 ? stored : { ...stored, metadata: Object.fromEntries(metadata) }
}

/**
 * Makes parent directories where they are missing; a path that leads through what is not there is cleaned (contract
 * B41).
 */
async function openTarget({ path, owner, whole = false }: UploadTarget): Promise<OpenedFile> {
  if (path.endsWith('/')) throw isDirectory(path)
  const isMissing = (error: unknown) => fileErrno(error) === 'ENOENT' || fileErrno(error) === 'ENOTDIR'
  const clean = cleanPath(path)
  try {
    return await openAnew(path, owner, whole)
  } catch (error) {
    if (!isMissing(error)) throw openError(path, error)
  }
  await ensureParent(clean, owner)
  try {
    return await openAnew(path, owner, whole)
  } catch (error) {
    if (path === clean || !isMissing(error)) throw openError(path, error)
  }
  return openAnew(clean, owner, whole).catch((error: unknown) => {
    throw openError(path, error)
  })
}

async function ensureParent(path: string, owner: FileUser): Promise<void> {
  try {
    await ensureDirectory(posix.dirname(path), owner)
  } catch (error) {
    if (error instanceof AppError) throw error
    const kind = isOutOfSpace(error) ? 'no_space' : 'internal'
    throw new AppError(kind, `error ensuring directories: ${reasonText(error)}`, { cause: error })
  }
}

function openError(path: string, error: unknown): AppError {
  if (error instanceof AppError) return error
  if (error instanceof Error && 'syscall' in error && error.syscall === 'stat') {
    return new AppError('internal', `error getting file info: ${failure('stat', path, error)}`, { cause: error })
  }
  const reason = failure('open', path, error)
  if (isOutOfSpace(error)) return new AppError('no_space', `not enough inodes available: ${reason}`, { cause: error })
  if (fileErrno(error) === 'EISDIR') return isDirectory(path)
  if (fileErrno(error) === 'ENXIO') return new AppError('invalid_argument', `path is not a regular file: ${path}`)
  return new AppError('internal', `error opening file: ${reason}`, { cause: error })
}

/** Closes the file after a failure, and only then. */
async function fill(file: OpenedFile, source: Readable, target: UploadTarget): Promise<void> {
  const { hold } = target
  const { fd, size, device } = file
  const replacement =
    size > 0 && !device ? createReplacement({ fd, hold, expected: target.announcedBytes ?? 0 }) : undefined
  const sink: FileSink = replacement ?? createFileSink(fd, hold)
  try {
    await pump(source, sink, { signal: target.signal, idleMs: target.idleMs })
  } catch (error) {
    await sink.settled()
    // A full disk is reported, and what did fit stays (contract B42).
    if (!isOutOfSpace(error)) await discard(file, replacement, target)
    await closeWritten(fd).catch(() => {})
    throw writeError(error, target)
  } finally {
    await replacement?.release().catch(() => {})
  }
}

/**
 * What has come of a file must not be taken for all of it: one that was made here goes, and one whose old content is
 * gone is left empty. Failures are ignored: the disk may be the reason why it was cut off.
 */
async function discard(
  { fd, made, device }: OpenedFile,
  replacement: Replacement | undefined,
  { path, owner }: UploadTarget,
): Promise<void> {
  if (device || replacement?.begun === false) return
  const remove = (name: string) => withWriteSlot(() => removeFile(Buffer.from(name), owner, fd))
  if (!made) await withWriteSlot(() => emptyFile(fd, 0)).catch(() => {})
  else await remove(path).catch(() => remove(cleanPath(path)).catch(() => {}))
}

function writeError(error: unknown, { announcedBytes }: UploadTarget): AppError {
  if (error instanceof AppError) return error
  if (error instanceof Stalled) return new AppError('stalled', `error writing file: ${error.message}`)
  if (isOutOfSpace(error)) {
    const attempt = announcedBytes === undefined ? '' : `attempted to write ${announcedBytes} bytes: `
    return new AppError('no_space', `${attempt}not enough disk space available`, { cause: error })
  }
  return new AppError('internal', `error writing file: ${reasonText(error)}`, { cause: error })
}

function reasonText(error: unknown): string {
  if (error instanceof CutShort) return error.message
  if (error instanceof Error && 'syscall' in error && 'path' in error) {
    return failure(String(error.syscall), String(error.path), error)
  }
  return reasonOf(error)
}
