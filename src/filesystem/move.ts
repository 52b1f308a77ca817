import type { Stats } from 'node:fs'
import { lstat, rename } from 'node:fs/promises'
import { posix } from 'node:path'
import { AppError } from '../errors.ts'
import { cleanPath } from '../lib/clean-path.ts'
import { moveAcross } from './copy-tree.ts'
import { ensureDirectory } from './directories.ts'
import { fileErrno, reasonOf } from './failure.ts'
import type { Owner } from './ownership.ts'
import { inWriteTurn } from './write-turns.ts'

/** What goes where. Both paths are absolute. */
export interface MoveOptions {
  readonly source: string
  readonly destination: string
  /** Of the parents that are made. */
  readonly owner: Owner
  readonly signal: AbortSignal
}

/**
 * Moves a file, link or directory, and replaces a file at the destination; owner, mode and metadata stay (contract C15 to C17). To
 * another filesystem it is copied, takes its place in one step, and is then deleted. Rejects with AppError: not_found, internal.
 */
export async function movePath(options: MoveOptions): Promise<void> {
  const { source, destination, owner } = options
  const failed = (error: unknown) => moveError(options, error)
  const from = await lstat(source).catch((error: unknown) => {
    throw failed(error)
  })
  try {
    await ensureDirectory(posix.dirname(cleanPath(destination)), owner)
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('internal', `error ensuring directories: ${reasonOf(error)}`, { cause: error })
  }
  const to = await lstat(destination).catch(() => undefined)
  if (to?.isDirectory() && (source === destination || !isSame(from, to))) throw refusal(options, 'file exists')
  try {
    await inWriteTurn(() => rename(source, destination))
  } catch (error) {
    if (fileErrno(error) !== 'EXDEV') throw failed(error)
    if (from.isDirectory() && to !== undefined) throw refusal(options, 'not a directory')
    await moveAcross(options).catch((reason: unknown) => {
      throw failed(reason)
    })
  }
}

function isSame(a: Stats, b: Stats): boolean {
  return a.dev === b.dev && a.ino === b.ino
}

function moveError(options: MoveOptions, error: unknown): AppError {
  if (error instanceof AppError) return error
  const reason = `rename ${options.source} ${options.destination}: ${reasonOf(error)}`
  if (fileErrno(error) === 'ENOENT') {
    return new AppError('not_found', `source file not found: ${reason}`, { cause: error })
  }
  return new AppError('internal', `error renaming: ${reason}`, { cause: error })
}

function refusal({ source, destination }: MoveOptions, reason: string): AppError {
  return new AppError('internal', `error renaming: rename ${source} ${destination}: ${reason}`)
}
