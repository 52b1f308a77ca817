import { constants } from 'node:fs'
import { posix } from 'node:path'
import { AppError } from '../errors.ts'
import { baseName, cleanPath } from '../lib/clean-path.ts'
import { forEachLimited } from '../lib/for-each-limited.ts'
import { type Status, unpackStatus, unpackVersion } from '../native/entries.ts'
import { closeFile, closeWritten, freeBytes, writePieces } from '../native/file-calls.ts'
import { readStatus, removeFile, renameEntry } from '../native/files.ts'
import { randomUuid } from '../native/random.ts'
import { ensureDirectory } from './directories.ts'
import { openDownload, readContent, SMALL_BYTES } from './download.ts'
import { entityTagOf } from './entity-tag.ts'
import { isKind } from './entry.ts'
import { failure, failureKind, fileErrno, isOutOfSpace, reasonOf } from './failure.ts'
import { type FileUser, permitted } from './file-user.ts'
import { openAnew } from './open-anew.ts'
import type { Stored } from './upload.ts'
import { checkAtPath, conditionFailed, type WriteCondition } from './write-condition.ts'

/** A file to be joined. */
interface ComposeSource {
  /** Path as the client wrote it, for the text of errors. */
  readonly given: string
  /** The absolute path. Throws AppError. */
  readonly resolve: () => string
}

/** What becomes of which files. */
interface ComposeOptions {
  /** In the order of their content; one may be there twice. */
  readonly sources: readonly ComposeSource[]
  /** Destination, absolute. */
  readonly path: string
  readonly owner: FileUser
  /** Condition that the destination must meet. */
  readonly condition?: WriteCondition | undefined
  /** Looked at until all is joined. */
  readonly signal: AbortSignal
}

/** A source that was looked at. */
interface CheckedSource {
  readonly path: string
  readonly size: number
}

/** One read and one write of a large file; enough to make their overhead disappear. */
const COPY_BYTES = 1024 * 1024
/** Sources looked at, read if they are small, or deleted, at a time. */
const AT_ONCE = 8
/** Memory of one join: also some small files, and they as one. */
export const JOIN_BYTES = COPY_BYTES + 2 * AT_ONCE * SMALL_BYTES

/**
 * Joins files into one at `path`, which takes its place in one step, and deletes the sources (contract B51 to B55).
 * Any failure before that step leaves everything as it was, but for new parent directories. Rejects with AppError, and
 * the reason of the signal.
 */
export async function composeFiles({ sources, path, owner, condition, signal }: ComposeOptions): Promise<Stored> {
  const destination = cleanPath(path)
  const expected = condition && ((await checkAtPath(condition, destination, owner)) ?? Buffer.alloc(0))
  const existing = await statusOf(destination, owner).catch((error: unknown) => {
    if (error instanceof AppError || isMissing(error)) return undefined
    throw composeError('error getting file info', error)
  })
  const checked = await checkSources(sources, (source) => checkSource(source, { destination, existing, owner }))
  const paths = checked.map((source) => source.path)
  try {
    await ensureDirectory(posix.dirname(destination), owner)
  } catch (error) {
    throw composeError('error ensuring directories', error)
  }
  const temporary = `${destination}.e2b-compose.${randomUuid()}.tmp`
  const made = await writeJoined(temporary, checked, { owner, signal })
  try {
    const [from, to] = [Buffer.from(temporary), Buffer.from(destination)]
    await permitted(destination, () => renameEntry(from, to, owner, expected))
  } catch (error) {
    await remove(temporary, owner)
    if (error instanceof AppError) throw error
    if (fileErrno(error) === 'ESTALE') throw conditionFailed(destination)
    throw composeError(`error finalizing compose: rename ${temporary} ${destination}`, error)
  }
  await forEachLimited(paths, AT_ONCE, (source) => deleteSource(source, made, owner))
  const placed = await statusOf(destination, owner).catch(() => undefined)
  const tag = placed && isSame(placed, made) ? entityTagOf(unpackVersion(placed.version)) : undefined
  return { file: { name: baseName(path), path, type: 'file' }, tag }
}

/** Rejects with what is wrong with the first one that cannot be joined. */
async function checkSources(
  sources: readonly ComposeSource[],
  check: (source: ComposeSource) => Promise<CheckedSource>,
): Promise<CheckedSource[]> {
  const all: CheckedSource[] = []
  for (let at = 0; at < sources.length; at += AT_ONCE) {
    for (const checked of await Promise.allSettled(sources.slice(at, at + AT_ONCE).map(check))) {
      if (checked.status === 'rejected') throw checked.reason
      all.push(checked.value)
    }
  }
  return all
}

/**
 * Returns the resolved path and the size. Throws AppError for one that cannot be joined, or that is the destination
 * under any name.
 */
async function checkSource(
  source: ComposeSource,
  {
    destination,
    existing,
    owner,
  }: { readonly destination: string; readonly existing: Status | undefined; readonly owner: FileUser },
): Promise<CheckedSource> {
  const path = source.resolve()
  const same = () => new AppError('invalid_argument', `source path "${source.given}" cannot be the same as destination`)
  if (cleanPath(path) === destination) throw same()
  const status = await statusOf(path, owner).catch((error: unknown) => {
    if (error instanceof AppError) throw error
    if (!isMissing(error)) throw composeError('error getting file info', error)
    throw new AppError('not_found', `source file not found: ${source.given}`, { cause: error })
  })
  if (existing !== undefined && isSame(status, existing)) throw same()
  if (!isKind(status.mode, constants.S_IFREG)) {
    throw new AppError('invalid_argument', `source path is not a regular file: ${source.given}`)
  }
  return { path, size: Number(unpackVersion(status.version).size) }
}

async function statusOf(path: string, owner: FileUser): Promise<Status> {
  return unpackStatus(await permitted(path, () => readStatus(Buffer.from(path), owner)))
}

function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENAMETOOLONG'].includes(fileErrno(error) ?? '')
}

function isSame(a: Status, b: Status): boolean {
  return a.device === b.device && a.inode === b.inode
}

async function writeJoined(
  temporary: string,
  sources: readonly CheckedSource[],
  { owner, signal }: Pick<ComposeOptions, 'owner' | 'signal'>,
): Promise<Status> {
  const { fd } = await openAnew(temporary, owner, { empty: true }).catch(async (error: unknown) => {
    // It may have been made, and not given to its owner.
    await remove(temporary, owner)
    throw composeError('error creating temporary file', error)
  })
  let open = true
  try {
    await checkRoom(fd, sources)
    const buffer = Buffer.allocUnsafeSlow(COPY_BYTES)
    const paths = sources.map(({ path }) => path)
    for (let at = 0; at < paths.length; at += AT_ONCE)
      await appendAll(fd, paths.slice(at, at + AT_ONCE), { buffer, owner, signal })
    const status = await statusOf(temporary, owner)
    open = false
    await closeWritten(fd)
    return status
  } catch (error) {
    if (open) await closeFile(fd)
    await remove(temporary, owner)
    throw composeError('error composing file', error)
  }
}

/** A request may name one large file ten thousand times. Rejects with AppError `no_space`. */
async function checkRoom(fd: number, sources: readonly CheckedSource[]): Promise<void> {
  if (new Set(sources.map(({ path }) => path)).size === sources.length) return
  const size = sources.reduce((sum, source) => sum + source.size, 0)
  if (size > (await freeBytes(fd))) throw noSpace()
}

/** Failures are ignored: what is left is called `.tmp`. */
async function remove(path: string, owner: FileUser): Promise<void> {
  await removeFile(Buffer.from(path), owner).catch(() => {})
}

interface Append extends Pick<ComposeOptions, 'owner' | 'signal'> {
  readonly buffer: Buffer
}

/** Small files are read at the same time, and written by one call. */
async function appendAll(fd: number, paths: readonly string[], options: Append): Promise<void> {
  options.signal.throwIfAborted()
  const contents = await Promise.all(paths.map((path) => readContent(path, options.owner)))
  let small: Buffer[] = []
  const flush = async () => {
    const bytes = small.length === 1 && small[0] !== undefined ? small[0] : Buffer.concat(small)
    small = []
    if (bytes.length > 0) await writePieces(fd, [bytes], null)
  }
  for (const [index, path] of paths.entries()) {
    const content = contents[index]
    if (content !== undefined) {
      small.push(content)
      continue
    }
    await flush()
    await append(fd, path, options)
  }
  await flush()
}

async function append(fd: number, path: string, { buffer, owner, signal }: Append): Promise<void> {
  const source = await openDownload(path, owner)
  try {
    await writePieces(fd, [source.head], null)
    for (let position = source.head.length; position !== source.size; ) {
      signal.throwIfAborted()
      const bytes = await source.read(buffer, position)
      if (bytes === 0) return
      await writePieces(fd, [buffer.subarray(0, bytes)], null)
      position += bytes
    }
  } finally {
    await source.close()
  }
}

/**
 * A source that is the new file itself, by a path that changed meanwhile, stays. Other failures are ignored (contract
 * B54).
 */
async function deleteSource(path: string, made: Status, owner: FileUser): Promise<void> {
  const status = await statusOf(path, owner).catch(() => undefined)
  if (status !== undefined && !isSame(status, made)) await remove(path, owner)
}

function composeError(what: string, error: unknown): AppError {
  if (error instanceof AppError) return error
  if (isOutOfSpace(error)) return noSpace(error)
  const named = error instanceof Error && 'syscall' in error && 'path' in error && fileErrno(error) !== undefined
  const reason = named ? failure(String(error.syscall), String(error.path), error) : reasonOf(error)
  return new AppError(failureKind(error), `${what}: ${reason}`, { cause: error })
}

function noSpace(cause?: unknown): AppError {
  return new AppError('no_space', 'not enough disk space available', { cause })
}
