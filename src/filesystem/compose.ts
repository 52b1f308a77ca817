import { constants, type Stats } from 'node:fs'
import { type FileHandle, lstat, open, rename, rm, stat, unlink } from 'node:fs/promises'
import { posix } from 'node:path'
import { AppError } from '../errors.ts'
import { baseName, cleanPath } from '../lib/clean-path.ts'
import { concurrently } from '../lib/concurrently.ts'
import { randomUuid } from '../system/random.ts'
import type { User } from '../system/users.ts'
import { ensureDirectory } from './directories.ts'
import { openDownload } from './download.ts'
import { failure, fileErrno, isOutOfSpace, reasonOf } from './failure.ts'
import { giveTo } from './ownership.ts'
import type { StoredFile } from './upload.ts'
import { inWriteTurn } from './write-turns.ts'
import { writeWhole } from './write-whole.ts'

/** A file to be joined. */
export interface ComposeSource {
  /** As the client wrote it; for the text of errors. */
  readonly given: string
  /** The absolute path. Throws AppError. */
  readonly resolve: () => string
}

/** What becomes of which files. */
export interface ComposeOptions {
  /** In the order of their content; one may be there twice. */
  readonly sources: readonly ComposeSource[]
  /** Destination, absolute. */
  readonly path: string
  readonly owner: User
}

const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const FILE_MODE = 0o666
/** One read and one write; enough to make their overhead disappear. */
const COPY_BYTES = 1024 * 1024
/** Sources looked at, or deleted, at a time. */
const AT_ONCE = 8

/**
 * Joins files into one at `path`, which takes its place in one step, and deletes the sources (contract B51 to B55).
 * Any failure before that step leaves everything as it was, but for new parent directories. Rejects with AppError.
 */
export async function composeFiles({ sources, path, owner }: ComposeOptions): Promise<StoredFile> {
  const destination = cleanPath(path)
  const existing = await stat(destination).catch(() => undefined)
  const paths = await checkSources(sources, (source) => checkSource(source, destination, existing))
  try {
    await ensureDirectory(posix.dirname(destination), owner)
  } catch (error) {
    throw composeError('error ensuring directories', error)
  }
  const temporary = `${destination}.e2b-compose.${randomUuid()}.tmp`
  const made = await writeJoined(temporary, paths, owner)
  try {
    if ((await lstat(destination).catch(() => undefined))?.isDirectory()) {
      throw new AppError('internal', `error finalizing compose: rename ${temporary} ${destination}: file exists`)
    }
    await inWriteTurn(() => rename(temporary, destination))
  } catch (error) {
    await inWriteTurn(() => rm(temporary, { force: true }))
    throw composeError('error finalizing compose', error)
  }
  await concurrently(paths, AT_ONCE, (source) => deleteSource(source, made))
  return { name: baseName(path), path, type: 'file' }
}

/** Rejects with what is wrong with the first one that cannot be joined. */
async function checkSources(
  sources: readonly ComposeSource[],
  check: (source: ComposeSource) => Promise<string>,
): Promise<string[]> {
  const paths: string[] = []
  for (let at = 0; at < sources.length; at += AT_ONCE) {
    for (const checked of await Promise.allSettled(sources.slice(at, at + AT_ONCE).map(check))) {
      if (checked.status === 'rejected') throw checked.reason
      paths.push(checked.value)
    }
  }
  return paths
}

/** Gives the resolved path. Throws AppError for one that cannot be joined, or that is the destination under any name. */
async function checkSource(source: ComposeSource, destination: string, existing: Stats | undefined): Promise<string> {
  const path = source.resolve()
  const same = () => new AppError('invalid_argument', `source path "${source.given}" cannot be the same as destination`)
  if (cleanPath(path) === destination) throw same()
  const stats = await stat(path).catch((error: unknown) => {
    throw new AppError('not_found', `source file not found: ${source.given}`, { cause: error })
  })
  if (existing !== undefined && isSame(stats, existing)) throw same()
  if (!stats.isFile()) {
    throw new AppError('invalid_argument', `source path is not a regular file: ${source.given}`)
  }
  return path
}

function isSame(a: Stats, b: Stats): boolean {
  return a.dev === b.dev && a.ino === b.ino
}

async function writeJoined(temporary: string, sources: readonly string[], owner: User): Promise<Stats> {
  const handle = await inWriteTurn(() => open(temporary, NEW_FILE, FILE_MODE)).catch((error: unknown) => {
    throw composeError('error creating temporary file', error)
  })
  try {
    await inWriteTurn(() => giveTo(handle, owner))
    const buffer = Buffer.allocUnsafeSlow(COPY_BYTES)
    for (const source of sources) await append(handle, source, buffer)
    const stats = await handle.stat()
    await handle.close()
    return stats
  } catch (error) {
    await handle.close().catch(() => {})
    await inWriteTurn(() => rm(temporary, { force: true }))
    throw composeError('error composing file', error)
  }
}

async function append(handle: FileHandle, path: string, buffer: Buffer): Promise<void> {
  const source = await openDownload(path)
  try {
    await inWriteTurn(() => writeWhole(handle.fd, source.head, null))
    for (let position = source.head.length; position !== source.size; ) {
      const bytes = await source.read(buffer, position)
      if (bytes === 0) return
      await inWriteTurn(() => writeWhole(handle.fd, buffer.subarray(0, bytes), null))
      position += bytes
    }
  } finally {
    await source.close()
  }
}

/** A source that is the new file itself, by a path that changed meanwhile, stays. Other failures are ignored (contract B54). */
async function deleteSource(path: string, made: Stats): Promise<void> {
  const stats = await stat(path).catch(() => undefined)
  if (stats !== undefined && !isSame(stats, made)) await inWriteTurn(() => unlink(path)).catch(() => {})
}

function composeError(what: string, error: unknown): AppError {
  if (error instanceof AppError) return error
  if (isOutOfSpace(error)) return new AppError('no_space', 'not enough disk space available', { cause: error })
  const named = error instanceof Error && 'syscall' in error && 'path' in error && fileErrno(error) !== undefined
  const reason = named ? failure(String(error.syscall), String(error.path), error) : reasonOf(error)
  return new AppError('internal', `${what}: ${reason}`, { cause: error })
}
