import { realpath, stat, statfs } from 'node:fs/promises'
import { AppError } from '../errors.ts'
import { failure, fileErrno } from '../filesystem/failure.ts'

/** f_type of statfs(2) for filesystems whose changes are made by other machines or programs (contract C26). */
const NETWORK_FILESYSTEMS = new Map([
  [0x6969, 'nfs'],
  [0xff534d42, 'cifs'],
  [0x517b, 'smb'],
  [0xfe534d42, 'smb2'],
  [0x65735546, 'fuse'],
])

/** A directory that can be watched. */
export interface WatchTarget {
  /** Links resolved (contract C37), as bytes. */
  readonly real: Buffer
  /** Device and inode, which tell it from another directory that takes its place. */
  readonly identity: string
  /** The kernel does not see all of its changes. */
  readonly network: boolean
}

/**
 * Checks what a client wants to watch. Throws AppError: not_found, invalid_argument for what is no directory and for a network
 * filesystem without `allowNetwork`, internal for other failures.
 */
export async function findTarget(path: string, allowNetwork: boolean): Promise<WatchTarget> {
  const stats = await stat(path).catch((error: unknown) => {
    throw statError(path, error)
  })
  if (!stats.isDirectory()) throw new AppError('invalid_argument', `path ${path} is not a directory`)
  const [real, { type }] = await Promise.all([realpath(path, 'buffer'), statfs(path)]).catch((error: unknown) => {
    throw statError(path, error)
  })
  const network = NETWORK_FILESYSTEMS.has(type)
  if (network && !allowNetwork)
    throw new AppError('invalid_argument', `cannot watch path on network filesystem: ${path}`)
  return { real, identity: `${stats.dev}:${stats.ino}`, network }
}

function statError(path: string, error: unknown): AppError {
  const reason = failure('stat', path, error)
  const errno = fileErrno(error)
  if (errno === 'ENOENT') return new AppError('not_found', `path ${path} not found: ${reason}`, { cause: error })
  // Only a path with a NUL byte gives it.
  if (errno === 'EINVAL') return new AppError('invalid_argument', reason, { cause: error })
  return new AppError('internal', `error getting file info of ${path}: ${reason}`, { cause: error })
}
