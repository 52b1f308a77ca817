import { constants } from 'node:fs'
import { AppError } from '../errors.ts'
import { isKind } from '../filesystem/entry.ts'
import { failure, failureKind, fileErrno } from '../filesystem/failure.ts'
import { permitted } from '../filesystem/file-user.ts'
import { needProc } from '../filesystem/need-proc.ts'
import { unpackStatus } from '../native/entries.ts'
import { type Actor, readNames, readStatus } from '../native/files.ts'
import type { WatchOptions } from './watcher.ts'

/** f_type of statfs(2) for filesystems whose changes are made by other machines or programs (contract C26). */
const NETWORK_FILESYSTEMS = new Map([
  [0x6969, 'nfs'],
  [0xff534d42, 'cifs'],
  [0x517b, 'smb'],
  [0xfe534d42, 'smb2'],
  [0x65735546, 'fuse'],
])

/** A directory that can be watched. */
interface WatchTarget {
  /** Links resolved (contract C37), as bytes. */
  readonly real: Buffer
  /** Device and inode, which distinguish it from another directory that takes its place. */
  readonly identity: string
  /** The kernel does not see all of its changes. */
  readonly network: boolean
}

/**
 * Checks what a client wants to watch. Throws AppError: not_found, invalid_argument for what is no directory and for a
 * network filesystem without `allowNetworkMounts`, unimplemented without /proc, internal for other failures.
 */
export async function findTarget({
  path,
  allowNetworkMounts,
  actor,
}: Pick<WatchOptions, 'path' | 'allowNetworkMounts' | 'actor'>): Promise<WatchTarget> {
  const packed = await permitted(path, () => readStatus(Buffer.from(path), actor)).catch((error: unknown) => {
    throw error instanceof AppError ? error : statError(path, error)
  })
  const { mode, real, filesystem, device, inode } = unpackStatus(packed)
  if (!isKind(mode, constants.S_IFDIR)) throw new AppError('invalid_argument', `path ${path} is not a directory`)
  if (actor.groups !== undefined) await checkReadable(path, actor)
  const network = NETWORK_FILESYSTEMS.has(Number(filesystem))
  if (network && !allowNetworkMounts)
    throw new AppError('invalid_argument', `cannot watch path on network filesystem: ${path}`)
  // Watches are put on open directories.
  if (!network) needProc()
  return { real, identity: `${device}:${inode}`, network }
}

/** One with no more than their own rights watches what they may list. Rejects with AppError permission_denied. */
async function checkReadable(path: string, actor: Actor): Promise<void> {
  try {
    await permitted(path, () => readNames(Buffer.from(path), SOME_NAMES_BYTES, actor))
  } catch (error) {
    // Other errors are reported when the directory is armed. EOVERFLOW means that it can be read.
    if (error instanceof AppError) throw error
  }
}

const SOME_NAMES_BYTES = 4096

function statError(path: string, error: unknown): AppError {
  const reason = failure('stat', path, error)
  const errno = fileErrno(error)
  if (errno === 'ENOENT') return new AppError('not_found', `path ${path} not found: ${reason}`, { cause: error })
  // Only a path with a NUL byte leads to it.
  if (errno === 'EINVAL') return new AppError('invalid_argument', reason, { cause: error })
  return new AppError(failureKind(error), `error getting file info of ${path}: ${reason}`, { cause: error })
}
