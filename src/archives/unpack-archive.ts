import type { Readable } from 'node:stream'
import { AppError } from '../errors.ts'
import { ensureDirectory } from '../filesystem/directories.ts'
import { failure, failureKind, reasonOf } from '../filesystem/failure.ts'
import { openTreeRoot } from '../filesystem/tree-root.ts'
import { CutShort, pump, Stalled } from '../lib/pump.ts'
import type { Log } from '../log.ts'
import { closeFile } from '../native/file-calls.ts'
import { type Beside, openBeside } from './directory-beside.ts'
import { badArchive } from './tar-fields.ts'
import { unpackZip } from './unpack-zip.ts'
import { Unpacker, type UnpackOptions } from './unpacker.ts'

/**
 * How an archive is unpacked: into what is there (`overwrite`), into a new directory that has its place in one step
 * when it is whole, if nothing stands there (`create`) or whatever does (`replace`).
 */
export type UnpackMode = 'overwrite' | 'create' | 'replace'

/** Where an archive goes. */
export interface ArchiveTarget extends Omit<UnpackOptions, 'ownsRoot'> {
  /** Absolute and clean. */
  readonly path: string
  /** Default: tar. */
  readonly format?: 'tar' | 'zip'
  readonly mode: UnpackMode
  readonly signal: AbortSignal
  readonly idleMs: number
  readonly log: Log
}

/** What was unpacked. */
interface UnpackedArchive {
  readonly entries: number
  readonly bytes: number
}

/**
 * Unpacks a tar or zip archive into a directory, which is made if it is missing. After a failure `replace` and `create` have
 * changed nothing; with `overwrite` whole entries that came before stay. No file has its name before it is whole, and nothing
 * temporary stays. Rejects with AppError: invalid_argument, already_exists, permission_denied, aborted, too_large,
 * no_space, stalled, budget_spent or internal.
 */
export async function unpackArchive(source: Readable, target: ArchiveTarget): Promise<UnpackedArchive> {
  try {
    return await (target.mode === 'overwrite' ? unpackInto(source, target) : unpackBeside(source, target))
  } catch (error) {
    throw unpackError(error)
  }
}

async function unpackInto(source: Readable, target: ArchiveTarget): Promise<UnpackedArchive> {
  const { path, owner } = target
  const made = await ensureDirectory(path, owner).catch((error: unknown) => {
    throw error instanceof AppError ? error : directoryError(path, error)
  })
  const root = await openTreeRoot(path, owner)
  if (root === undefined) throw notDirectory(path)
  const unpacker = new Unpacker(root, { ...target, ownsRoot: made })
  try {
    await fill(source, { root, unpacker }, target)
    await unpacker.finish()
    return unpacker.counts
  } catch (error) {
    await unpacker.settled()
    // Those that are there already are as they were meant; what went wrong first counts.
    await unpacker.finish().catch(() => {})
    throw error
  } finally {
    await closeFile(root)
  }
}

async function unpackBeside(source: Readable, target: ArchiveTarget): Promise<UnpackedArchive> {
  const beside: Beside = await openBeside(target)
  const unpacker = new Unpacker(beside.root, { ...target, ownsRoot: true })
  try {
    await fill(source, { root: beside.root, unpacker }, target)
    await beside.giveToOwner()
    await unpacker.finish()
    await beside.place()
    return unpacker.counts
  } catch (error) {
    await unpacker.settled()
    throw error
  } finally {
    await beside.close()
  }
}

function fill(source: Readable, into: { root: number; unpacker: Unpacker }, target: ArchiveTarget): Promise<void> {
  return target.format === 'zip' ? unpackZip(source, into, target) : pump(source, into.unpacker, target)
}

function notDirectory(path: string): AppError {
  return new AppError('invalid_argument', `path '${path}' is not a directory`)
}

function directoryError(path: string, error: unknown): AppError {
  if (error instanceof Error && error.message.startsWith('path is a file')) return notDirectory(path)
  return new AppError(failureKind(error), `error ensuring directories: ${failure('mkdir', path, error)}`, {
    cause: error,
  })
}

function unpackError(error: unknown): AppError {
  if (error instanceof AppError) return error
  if (error instanceof Stalled) return new AppError('stalled', `error reading archive: ${error.message}`)
  if (error instanceof CutShort) return badArchive(error.message)
  return new AppError(failureKind(error), `error unpacking archive: ${reasonOf(error)}`, { cause: error })
}
