import { posix } from 'node:path'
import { Readable } from 'node:stream'
import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { baseName, cleanPath } from '../lib/clean-path.ts'
import { CutShort, pump, Stalled } from '../lib/pump.ts'
import type { Log } from '../log.ts'
import type { FileVersion } from '../native/entries.ts'
import { removeFile } from '../native/files.ts'
import { createAppendSink } from './append-sink.ts'
import { ensureDirectory } from './directories.ts'
import { issueTag } from './entity-tag.ts'
import { failure, fileErrno, isOutOfSpace, reasonOf } from './failure.ts'
import { createFileSink, type FileSink } from './file-sink.ts'
import type { FileUser } from './file-user.ts'
import { finishWithMetadata, type Metadata } from './metadata.ts'
import { closeWritten, emptyFile, isDirectory, type OpenedFile, openAnew } from './open-anew.ts'
import { createReplacement } from './replacement.ts'
import { storeAtOnce } from './store-at-once.ts'
import {
  type StagedFile,
  type StageTarget,
  stageBeside,
  stageNamed,
  type WholeFile,
  withPlace,
} from './store-beside.ts'
import { checkAtPath, setMode, type WriteCondition } from './write-condition.ts'
import { guardWrite } from './write-guard.ts'
import { withWriteSlot } from './write-semaphore.ts'

/** A file that was stored, as `POST /files` reports it (contract B37). */
interface StoredFile {
  readonly name: string
  readonly path: string
  readonly type: 'file'
  readonly metadata?: Readonly<Record<string, string>>
}

/** A file that was stored, and its entity tag; undefined: it has none. */
export interface Stored {
  readonly file: StoredFile
  readonly tag: string | undefined
}

/**
 * How a file is written: in place (`overwrite`), at its end (`append`), or in one step when all has come, whatever was
 * there (`atomic`) or only if nothing was (`create`).
 */
export type WriteMode = 'overwrite' | 'append' | 'atomic' | 'create'

/** Where an upload goes and under which conditions. */
export interface UploadTarget {
  /** Absolute, not necessarily clean. */
  readonly path: string
  readonly owner: FileUser
  readonly metadata: Metadata
  /** Bytes that the client announced, of the file or of the form that it is in. */
  readonly announcedBytes?: number | undefined
  /** All of it, at most `SMALL_BYTES`, which has come already, so that nothing can cut it off; undefined: it is to come. */
  readonly content?: Buffer | undefined
  readonly mode?: WriteMode | undefined
  /** Permissions that the file has then; undefined: as it is made, or was. */
  readonly chmod?: number | undefined
  readonly condition?: WriteCondition | undefined
  readonly signal: AbortSignal
  readonly idleMs?: number | undefined
  readonly log: Log
  /** Counts what waits for the disk. The caller releases it. */
  readonly hold: Hold
}

/**
 * Writes a stream into a file: without a mode in place, with a condition in one step. In place an existing file keeps
 * inode, links and mode, and is given to the owner before it is written (contract B38 to B45). Missing directories are
 * made. A transfer that is cut off removes what it made, and leaves what was there before as it was
 * (`createReplacement`); on a full disk what fits stays. Rejects with AppError: invalid_argument (directory, not a
 * regular file), already_exists, condition_failed, aborted (not possible in one step), no_space, deadline_exceeded (no
 * data), canceled or internal.
 */
export async function storeFile(source: Readable, target: UploadTarget): Promise<Stored> {
  const { mode, condition, chmod, content } = target
  const oneStep = mode === 'atomic' || mode === 'create' || (mode === undefined && condition !== undefined)
  const isPlain = mode === undefined && condition === undefined && chmod === undefined
  const { metadata, version } = oneStep
    ? await storeInOneStep(source, target)
    : content !== undefined && isPlain
      ? await storeSmall(content, target)
      : await storeInPlace(source, target)
  const file = { name: baseName(target.path), path: target.path, type: 'file' } as const
  return {
    file: metadata.size === 0 ? file : { ...file, metadata: Object.fromEntries(metadata) },
    tag: version && issueTag(version),
  }
}

interface Written {
  readonly metadata: Metadata
  readonly version?: FileVersion
}

async function storeSmall(content: Buffer, target: UploadTarget): Promise<Written> {
  const { path, owner, metadata, hold, log } = target
  const small = { content, owner, metadata, hold, log }
  const stored = await inParent(target, (at) => storeAtOnce(at, small)).catch((error: unknown) => {
    throw openError(path, error)
  })
  return stored.finished ?? writeInPlace(stored.file, Readable.from([stored.rest]), target)
}

async function storeInPlace(source: Readable, target: UploadTarget): Promise<Written> {
  const { path, owner, condition } = target
  const expected = condition && (await checkAtPath(condition, path, owner))
  return writeInPlace(await openTarget(target), source, { ...target, expected })
}

async function writeInPlace(file: OpenedFile, source: Readable, target: Filling): Promise<Written> {
  const { mode, condition, chmod, log } = target
  await fill(file, source, target)
  if (file.device) return { metadata: new Map() }
  if (chmod !== undefined)
    await setMode(file.fd, chmod, target).catch(async (error: unknown) => {
      await closeWritten(file.fd).catch(() => {})
      throw error
    })
  const kept = mode === 'append' && target.metadata.size === 0
  // What is written without a word about versions has the events that it always had (contract C28).
  const stamp = mode !== undefined || condition !== undefined
  return finishWithMetadata(file.fd, { metadata: kept ? undefined : target.metadata, stamp, log })
}

async function storeInOneStep(source: Readable, target: UploadTarget): Promise<Written> {
  const staged = await stageFile(source, target)
  try {
    return await staged.place()
  } finally {
    await staged.release()
  }
}

/**
 * `stageBeside` for a path whose parent may be missing: it is made. Rejects with AppError, as `storeFile` does for what
 * is written in one step, and so does `place`.
 */
export function stageFile(source: Readable, target: StageTarget): Promise<StagedFile> {
  return staging(target, (at) => stageBeside(source, at))
}

/** `stageFile` for a file that is whole already (`stageNamed`). */
export function stageWhole(whole: WholeFile, target: StageTarget): Promise<StagedFile> {
  return staging(target, (at) => stageNamed(whole, at))
}

/** `withPlace`, with the parents made that are missing. Rejects with AppError as `storeFile`, or as `use`. */
export async function withMadePlace<T>(target: StageTarget, use: (directory: string) => Promise<T>): Promise<T> {
  const looking = (error: unknown) => Promise.reject(stageError(error, target))
  return inParent(target, (at) => withPlace({ ...target, path: at }, use)).catch(looking)
}

async function staging(target: StageTarget, stage: (target: StageTarget) => Promise<StagedFile>): Promise<StagedFile> {
  const failed = (error: unknown) => Promise.reject(stageError(error, target))
  const staged = await inParent(target, (at) => stage({ ...target, path: at })).catch(failed)
  return { ...staged, place: () => staged.place().catch(failed) }
}

function stageError(error: unknown, target: StageTarget): AppError {
  if (error instanceof AppError) return error
  if (error instanceof Error && 'syscall' in error && ['stat', 'open'].includes(String(error.syscall)))
    return openError(target.path, error)
  return writeError(error, target)
}

async function openTarget(target: UploadTarget): Promise<OpenedFile> {
  const { path, owner, content, mode, condition } = target
  const append = mode === 'append'
  const empty = content !== undefined && !append && condition === undefined
  try {
    return await inParent(target, (at) => openAnew(at, owner, empty, append))
  } catch (error) {
    throw openError(path, error)
  }
}

/**
 * Makes parent directories where they are missing; a path that leads through what is not there is cleaned (contract
 * B41).
 */
async function inParent<T>(
  { path, owner }: Pick<UploadTarget, 'path' | 'owner'>,
  write: (path: string) => Promise<T>,
): Promise<T> {
  if (path.endsWith('/')) throw isDirectory(path)
  const isMissing = (error: unknown) => fileErrno(error) === 'ENOENT' || fileErrno(error) === 'ENOTDIR'
  const clean = cleanPath(path)
  try {
    return await write(path)
  } catch (error) {
    if (!isMissing(error)) throw error
  }
  await ensureParent(clean, owner)
  try {
    return await write(path)
  } catch (error) {
    if (path === clean || !isMissing(error)) throw error
  }
  return write(clean)
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
async function fill(file: OpenedFile, source: Readable, target: Filling): Promise<void> {
  const sink = createSink(file, target)
  try {
    await pump(source, sink, { signal: target.signal, idleMs: target.idleMs })
  } catch (error) {
    await sink.settled()
    // A full disk is reported, and what did fit stays (contract B42).
    if (!isOutOfSpace(error)) await discard(file, sink, target)
    await closeWritten(file.fd).catch(() => {})
    throw writeError(error, target)
  } finally {
    await sink.release?.().catch(() => {})
  }
}

interface Filling extends UploadTarget {
  /** The version that the condition was checked for. */
  readonly expected?: Buffer | undefined
}

/** A sink that may leave the file as it was, unless it has begun. */
interface UploadSink extends FileSink {
  readonly begun?: boolean
  release?(): Promise<void>
}

function createSink(file: OpenedFile, target: Filling): UploadSink {
  const { fd, size, device } = file
  const { condition, mode, expected, path, signal, hold, announcedBytes = 0 } = target
  if (device) return createFileSink(fd, hold)
  const guard = condition && guardWrite(file, { path, expected, signal })
  if (mode === 'append') return createAppendSink(fd, { hold, guard })
  return size > 0 || guard ? createReplacement({ fd, hold, expected: announcedBytes, guard }) : createFileSink(fd, hold)
}

/**
 * What has come of a file must not be taken for all of it: one that was made here goes, and one whose old content is
 * gone is left empty. What was appended stays. Failures are ignored: the disk may be the reason why it was cut off.
 */
async function discard({ fd, made, device }: OpenedFile, sink: UploadSink, target: UploadTarget): Promise<void> {
  const { path, owner, mode } = target
  if (device) return
  const remove = (name: string) => withWriteSlot(() => removeFile(Buffer.from(name), owner, fd))
  if (made) return remove(path).then(ignore, () => remove(cleanPath(path)).then(ignore, ignore))
  if (sink.begun !== false && mode !== 'append') await withWriteSlot(() => emptyFile(fd, 0)).catch(ignore)
}

function ignore(): void {}

function writeError(error: unknown, { announcedBytes }: Pick<UploadTarget, 'announcedBytes'>): AppError {
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
