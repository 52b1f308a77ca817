import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { posix } from 'node:path'
import type { Readable } from 'node:stream'
import { AppError } from '../errors.ts'
import { baseName, cleanPath } from '../lib/clean-path.ts'
import { CutShort, pump, Stalled } from '../lib/pump.ts'
import type { Log } from '../log.ts'
import type { User } from '../system/users.ts'
import { ensureDirectory } from './directories.ts'
import { failure, fileErrno, isOutOfSpace, reasonOf } from './failure.ts'
import { createFileSink } from './file-sink.ts'
import { type Metadata, replaceMetadata } from './metadata.ts'
import { giveTo } from './ownership.ts'

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
  readonly owner: User
  readonly metadata: Metadata
  /** Bytes that the client announced; only for the text of errors. */
  readonly announcedBytes?: number | undefined
  readonly signal: AbortSignal
  readonly idleMs?: number | undefined
  readonly log: Log
}

/** O_NONBLOCK: a FIFO that takes the file's place meanwhile must not stop the thread (pitfall F14). */
const WRITE = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY
const CREATE = WRITE | constants.O_CREAT
const FILE_MODE = 0o666

/**
 * Writes a stream into a file, in place: an existing file keeps inode, links and mode, and is given to the owner before it is
 * truncated (contract B38 to B45). Missing directories are made. A failed transfer leaves what has arrived and rejects with
 * AppError: invalid_argument (directory, not a regular file), no_space, deadline_exceeded (no data), canceled or internal.
 */
export async function storeFile(source: Readable, target: UploadTarget): Promise<StoredFile> {
  const path = await writablePath(target)
  await using handle = await openForWriting(path, target.owner)
  await fill(handle, source, target)
  const metadata = await replaceMetadata(handle, target.metadata, target.log)
  const stored = { name: baseName(target.path), path: target.path, type: 'file' } as const
  return metadata.size === 0 ? stored : { ...stored, metadata: Object.fromEntries(metadata) }
}

/** Checks what stands at the path and makes its directory. Gives the path to open. */
async function writablePath({ path, owner }: UploadTarget): Promise<string> {
  if (path.endsWith('/')) throw isDirectory(path)
  const existing = await statOf(path)
  if (existing !== undefined) {
    checkRegular(existing, path)
    return path
  }
  const clean = cleanPath(path)
  try {
    await ensureDirectory(posix.dirname(clean), owner)
  } catch (error) {
    throw new AppError(
      isOutOfSpace(error) ? 'no_space' : 'internal',
      `error ensuring directories: ${reasonText(error)}`,
      {
        cause: error,
      },
    )
  }
  return path === clean || (await statOf(posix.dirname(path))) !== undefined ? path : clean
}

async function statOf(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path)
  } catch (error) {
    if (fileErrno(error) === 'ENOENT' || fileErrno(error) === 'ENOTDIR') return undefined
    throw new AppError('internal', `error getting file info: ${failure('stat', path, error)}`, { cause: error })
  }
}

function checkRegular(stats: Stats, path: string): void {
  if (stats.isDirectory()) throw isDirectory(path)
  if (!stats.isFile()) throw new AppError('invalid_argument', `path is not a regular file: ${path}`)
}

function isDirectory(path: string): AppError {
  return new AppError('invalid_argument', `path is a directory: ${path}`)
}

/** Opens, checks what was opened, gives it to the owner, and only then empties it. */
async function openForWriting(path: string, owner: User): Promise<FileHandle> {
  const handle = await openOrCreate(path).catch((error: unknown) => {
    throw openError(path, error)
  })
  try {
    const stats = await handle.stat()
    checkRegular(stats, path)
    await giveTo(handle, owner)
    // Watchers are told of every truncation as of a write, and a new file is written once (contract C29).
    if (stats.size > 0) await handle.truncate(0)
    return handle
  } catch (error) {
    await handle.close()
    if (error instanceof AppError) throw error
    throw openError(path, error)
  }
}

/**
 * An existing file is opened without O_CREAT, which the kernel refuses even to root for somebody else's file in a
 * world-writable directory (fs.protected_regular).
 */
async function openOrCreate(path: string): Promise<FileHandle> {
  try {
    return await open(path, WRITE)
  } catch (error) {
    if (fileErrno(error) !== 'ENOENT') throw error
  }
  return await open(path, CREATE, FILE_MODE)
}

function openError(path: string, error: unknown): AppError {
  const reason = failure('open', path, error)
  if (isOutOfSpace(error)) return new AppError('no_space', `not enough inodes available: ${reason}`, { cause: error })
  if (fileErrno(error) === 'EISDIR') return isDirectory(path)
  if (fileErrno(error) === 'ENXIO') return new AppError('invalid_argument', `path is not a regular file: ${path}`)
  return new AppError('internal', `error opening file: ${reason}`, { cause: error })
}

async function fill(handle: FileHandle, source: Readable, target: UploadTarget): Promise<void> {
  const sink = createFileSink(handle)
  try {
    await pump(source, sink, { signal: target.signal, idleMs: target.idleMs })
  } catch (error) {
    throw writeError(error, target)
  } finally {
    await sink.settled()
  }
}

function writeError(error: unknown, { announcedBytes }: UploadTarget): AppError {
  if (error instanceof AppError) return error
  if (error instanceof Stalled) return new AppError('deadline_exceeded', `error writing file: ${error.message}`)
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
