import { Readable } from 'node:stream'
import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { baseName } from '../lib/clean-path.ts'
import type { Log } from '../log.ts'
import { issueTag } from './entity-tag.ts'
import type { FileUser } from './file-user.ts'
import { inParent } from './in-parent.ts'
import type { Metadata } from './metadata.ts'
import {
  type StagedFile,
  type StageTarget,
  stageBeside,
  stageNamed,
  type WholeFile,
  withPlace,
} from './store-beside.ts'
import { storeInPlace, storeSmall, type Written } from './store-in-place.ts'
import { openError, writeError } from './upload-failure.ts'
import type { WriteCondition } from './write-condition.ts'

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
  /** All of it, at most 64 KiB, which has come already, so that nothing can cut it off; undefined: it is to come. */
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
 * Writes a stream, or the `content` in its place, into a file: without a mode in place, with a condition in one step.
 * In place an existing file keeps inode, links and mode, and is given to the owner before it is written (contract B38
 * to B45). Missing directories are made. A new file is at its name when it is whole. A transfer that is cut off or
 * finds the disk full leaves nothing of itself, and what was there before as it was (`createReplacement`). Rejects
 * with AppError: invalid_argument (directory, not a regular file), already_exists, condition_failed, aborted (not
 * possible in one step), no_space, deadline_exceeded (no data), canceled or internal.
 */
export async function storeFile(stream: Readable, target: UploadTarget): Promise<Stored> {
  const { mode, condition, chmod, content } = target
  const source = () => (content === undefined ? stream : Readable.from([content]))
  const oneStep = mode === 'atomic' || mode === 'create' || (mode === undefined && condition !== undefined)
  const isPlain = mode === undefined && condition === undefined && chmod === undefined
  const { metadata, version } = oneStep
    ? await storeInOneStep(source(), target)
    : content !== undefined && isPlain
      ? await storeSmall(content, target)
      : await storeInPlace(source(), target)
  const file = { name: baseName(target.path), path: target.path, type: 'file' } as const
  return {
    file: metadata.size === 0 ? file : { ...file, metadata: Object.fromEntries(metadata) },
    tag: version && issueTag(version),
  }
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
