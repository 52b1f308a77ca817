import { constants } from 'node:fs'
import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { cleanPath } from '../lib/clean-path.ts'
import { createTimeSlice } from '../lib/time-slice.ts'
import { type RawEntry, unpackStatus } from '../native/entries.ts'
import { type Actor, readStatus } from '../native/files.ts'
import type { Users } from '../users/users.ts'
import { type EntryInfo, isKind, toEntryInfo } from './entry.ts'
import { failure, failureKind, fileErrno } from './failure.ts'
import { permitted, refusalOf } from './file-user.ts'
import { openLevel } from './list-level.ts'

/** Entries of one piece, some 2 KiB each as objects: they live until the piece is encoded. */
const PIECE_ENTRIES = 50

interface ListOptions {
  /** Absolute. */
  readonly path: string
  /** Levels below the path, at least 1. */
  readonly depth: number
  readonly users: Users
  readonly actor: Actor
  readonly signal: AbortSignal
  /** Grows by the names of each directory that is being listed; the caller releases it. */
  readonly hold: Hold
}

/**
 * Lists a directory and what is below it in pieces, depth first, siblings in byte order, links not followed below the
 * path (contract C21 to C25). Looks at entries only as the pieces are taken. Directories that vanish or cannot be read
 * below the path are listed without contents. Throws AppError, `budget_spent` among others.
 */
export async function* listDirectory(options: ListOptions): AsyncGenerator<EntryInfo[], void> {
  const root = await resolveDirectory(options)
  const shown = cleanPath(options.path)
  try {
    yield* walk(options, { path: root, shown: shown === '/' ? '' : shown, depth: options.depth })
  } catch (error) {
    if (fileErrno(error) === undefined) throw error
    const reason = `error reading directory ${options.path}: ${failure('open', root.toString(), error)}`
    throw refusalOf(options.path, error) ?? new AppError(failureKind(error), reason, { cause: error })
  }
}

/** The path without links, as bytes. */
async function resolveDirectory({ path, actor }: ListOptions): Promise<Buffer> {
  try {
    const { mode, real } = unpackStatus(await permitted(path, () => readStatus(Buffer.from(path), actor)))
    if (isKind(mode, constants.S_IFDIR)) return real
    throw new AppError('invalid_argument', `path is not a directory: ${real}`)
  } catch (error) {
    if (error instanceof AppError) throw error
    const reason = failure('lstat', path, error)
    if (fileErrno(error) === 'ENOENT') throw new AppError('not_found', `path not found: ${reason}`, { cause: error })
    if (fileErrno(error) === 'ELOOP') {
      throw new AppError('failed_precondition', `cyclic symlink or chain >255 links at "${path}"`, { cause: error })
    }
    throw new AppError(failureKind(error), `error resolving symlink: ${reason}`, { cause: error })
  }
}

/** A directory to be listed. */
interface Directory {
  /** Path as on disk. */
  readonly path: Buffer
  /** Path as clients get it, without a slash at the end. */
  readonly shown: string
  readonly depth: number
}

async function* walk({ users, actor, signal, hold }: ListOptions, root: Directory): AsyncGenerator<EntryInfo[], void> {
  const owners = createOwners(users)
  const slice = createTimeSlice()
  const levels = [{ ...root, level: await openLevel(root.path, { actor, hold }) }]
  let piece: EntryInfo[] = []
  for (let at = levels.at(-1); at !== undefined; at = levels.at(-1)) {
    const raw = await at.level.next()
    if (raw === undefined) {
      at.level.close()
      levels.pop()
      continue
    }
    const name = raw.name.toString()
    const path = `${at.shown}/${name}`
    const names = owners.known(raw) ?? (await owners.lookUp(raw))
    piece.push(toEntryInfo(raw, { path, name, ...names }))
    if (at.depth > 1 && isDirectory(raw) && !raw.silent) {
      const directory = { path: below(at.path, raw.name), shown: path, depth: at.depth - 1 }
      const level = await openBelow(directory.path, { actor, hold })
      if (level !== undefined) levels.push({ ...directory, level })
    }
    if (piece.length < PIECE_ENTRIES) continue
    signal.throwIfAborted()
    yield piece
    piece = []
    await slice.next()
  }
  signal.throwIfAborted()
  if (piece.length > 0) yield piece
}

/** A directory that went away or does not let itself be read has been listed; its contents are left out. */
async function openBelow(path: Buffer, options: Pick<ListOptions, 'actor' | 'hold'>) {
  try {
    return await openLevel(path, options)
  } catch (error) {
    // What the machine is short of says nothing about the directory.
    if (fileErrno(error) === undefined || failureKind(error) !== 'internal') throw error
    return undefined
  }
}

function isDirectory(raw: RawEntry): boolean {
  return isKind(raw.mode, constants.S_IFDIR)
}

function below(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from('/'), name])
}

interface OwnerNames {
  readonly owner: string
  readonly group: string
}

/** The names of owners, each looked up once. */
function createOwners(users: Users) {
  const owners = new Map<number, string>()
  const groups = new Map<number, string>()
  return {
    known: ({ uid, gid }: RawEntry): OwnerNames | undefined => {
      const [owner, group] = [owners.get(uid), groups.get(gid)]
      return owner !== undefined && group !== undefined ? { owner, group } : undefined
    },
    lookUp: async ({ uid, gid }: RawEntry): Promise<OwnerNames> => {
      const [owner, group] = await Promise.all([users.nameOf(uid), users.groupNameOf(gid)])
      owners.set(uid, owner)
      groups.set(gid, group)
      return { owner, group }
    },
  }
}
