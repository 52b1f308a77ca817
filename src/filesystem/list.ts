import { constants } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { AppError } from '../errors.ts'
import { cleanPath } from '../lib/clean-path.ts'
import { type RawEntry, unpackEntries, unpackStatus } from '../native/entries.ts'
import { type Actor, readEntries, readStatus } from '../native/files.ts'
import type { Users } from '../system/users.ts'
import { type EntryInfo, isKind, toEntryInfo } from './entry.ts'
import { failure, fileErrno } from './failure.ts'
import { permitted, refusalOf } from './file-user.ts'
import { METADATA_PREFIX } from './metadata.ts'

/**
 * Entries of one response, which is one message in memory: about 2 KiB each until it is sent, so that the largest listing takes
 * 500 MB. Without a limit one call could use up the sandbox's memory, and end every command with the daemon.
 */
const MAX_ENTRIES = 250_000
/** Entries that are converted before other work gets a turn; about 2 ms. */
const BATCH = 1_000

/** What to list. */
export interface ListOptions {
  /** Absolute. */
  readonly path: string
  /** Levels below the path, at least 1. */
  readonly depth: number
  readonly users: Users
  readonly actor: Actor
  readonly signal: AbortSignal
  /** For tests. */
  readonly maxEntries?: number
}

/**
 * Lists a directory and what is below it, depth first, siblings in byte order, links not followed below the path (contract C21 to
 * C25). Directories that vanish or cannot be read below the path are listed without contents. Rejects with AppError.
 */
export async function listDirectory(options: ListOptions): Promise<EntryInfo[]> {
  const root = await resolveDirectory(options)
  const walk = {
    ...options,
    maxEntries: options.maxEntries ?? MAX_ENTRIES,
    entries: [] as EntryInfo[],
    owners: new Map<number, string>(),
    groups: new Map<number, string>(),
  }
  const shown = cleanPath(options.path)
  try {
    await listInto(walk, { path: root, shown: shown === '/' ? '' : shown, depth: options.depth })
  } catch (error) {
    if (fileErrno(error) === undefined) throw error
    const reason = `error reading directory ${options.path}: ${failure('open', root.toString(), error)}`
    throw refusalOf(options.path, error) ?? new AppError('internal', reason, { cause: error })
  }
  return walk.entries
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
    throw new AppError('internal', `error resolving symlink: ${reason}`, { cause: error })
  }
}

interface Walk extends ListOptions {
  readonly maxEntries: number
  readonly entries: EntryInfo[]
  readonly owners: Map<number, string>
  readonly groups: Map<number, string>
}

interface Directory {
  /** As on disk. */
  readonly path: Buffer
  /** As the client sees it, without a slash at the end. */
  readonly shown: string
  readonly depth: number
}

async function listInto(walk: Walk, directory: Directory): Promise<void> {
  walk.signal.throwIfAborted()
  const left = walk.maxEntries - walk.entries.length
  const packed = await readEntries(directory.path, METADATA_PREFIX, left, walk.actor).catch((error: unknown) => {
    throw fileErrno(error) === 'EOVERFLOW' ? tooMany(walk.maxEntries) : error
  })
  let converted = 0
  for (const raw of unpackEntries(packed)) {
    const name = raw.name.toString()
    const path = `${directory.shown}/${name}`
    if (walk.entries.length >= walk.maxEntries) throw tooMany(walk.maxEntries)
    walk.entries.push(toEntryInfo(raw, { path, name, ...(await ownersOf(raw, walk)) }))
    if (directory.depth > 1 && isDirectory(raw)) {
      await listBelow(walk, { path: below(directory.path, raw.name), shown: path, depth: directory.depth - 1 })
    }
    if (++converted % BATCH === 0) {
      await setImmediate()
      walk.signal.throwIfAborted()
    }
  }
}

/** A directory that went away or does not let itself be read has been listed; its contents are left out. */
async function listBelow(walk: Walk, directory: Directory): Promise<void> {
  try {
    await listInto(walk, directory)
  } catch (error) {
    if (fileErrno(error) === undefined) throw error
  }
}

function isDirectory(raw: RawEntry): boolean {
  return isKind(raw.mode, constants.S_IFDIR)
}

function below(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, Buffer.from('/'), name])
}

function ownersOf(raw: RawEntry, walk: Walk): OwnerNames | Promise<OwnerNames> {
  const owner = walk.owners.get(raw.uid)
  const group = walk.groups.get(raw.gid)
  return owner !== undefined && group !== undefined ? { owner, group } : lookUp(raw, walk)
}

interface OwnerNames {
  readonly owner: string
  readonly group: string
}

async function lookUp({ uid, gid }: RawEntry, { users, owners, groups }: Walk): Promise<OwnerNames> {
  const [owner, group] = await Promise.all([users.nameOf(uid), users.groupNameOf(gid)])
  owners.set(uid, owner)
  groups.set(gid, group)
  return { owner, group }
}

function tooMany(limit: number): AppError {
  return new AppError('resource_exhausted', `more than ${limit} entries: list a smaller depth or a deeper path`)
}
