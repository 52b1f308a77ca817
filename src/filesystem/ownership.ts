import { constants } from 'node:fs'
import { type FileHandle, open, statfs } from 'node:fs/promises'
import { AppError } from '../errors.ts'
import type { User } from '../system/users.ts'
import { fileErrno } from './failure.ts'

/** Who owns what is created. */
export type Owner = Pick<User, 'name' | 'uid' | 'gid'>

/** Magic numbers (statfs(2)) of filesystems made by the kernel, whose files have owners that cannot be changed. */
const KERNEL_FILESYSTEMS = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x27e0eb, // cgroup
  0x63677270, // cgroup2
  0x64626720, // debugfs
  0x74726163, // tracefs
  0x73636673, // securityfs
  0xcafe4a11, // bpf
  0x62656570, // configfs
])

/** Gives an open file to its owner (fchown(2)), or rejects as `forgiveOwner` does. */
export async function giveTo(handle: FileHandle, owner: Owner): Promise<void> {
  try {
    await handle.chown(owner.uid, owner.gid)
  } catch (error) {
    await forgiveOwner(handle.fd, owner, error)
  }
}

/** Of fchown(2): without CAP_CHOWN, for an id that the user namespace does not map, from a filter of system calls. */
const REFUSALS = new Set(['EPERM', 'EACCES', 'EINVAL', 'ENOSYS'])

/**
 * Judges why an open file could not be given to its owner. Resolves where owners are the kernel's matter, or where the owner is
 * the daemon's own user and the file somebody else's. Rejects with permission_denied when a daemon that may not change owners
 * should act for another user, else with the error itself.
 */
export async function forgiveOwner(fd: number, owner: Owner, error: unknown): Promise<void> {
  const daemon = process.geteuid?.()
  const refused = REFUSALS.has(fileErrno(error) ?? '')
  if (refused && daemon === owner.uid) return
  if (refused && daemon !== 0)
    throw new AppError('permission_denied', `cannot act for user '${owner.name}': the daemon does not run as root`)
  const { type } = await statfs(`/proc/self/fd/${fd}`)
  if (KERNEL_FILESYSTEMS.has(type)) return
  if (!refused) throw error
  const text = `cannot act for user '${owner.name}': the daemon may not give files away`
  throw new AppError('permission_denied', text, { cause: error })
}

/**
 * Gives a directory that was just made to its owner. One that was swapped for a link or for somebody else's directory
 * meanwhile is left alone.
 */
export async function giveDirectoryTo(path: string, owner: Owner): Promise<void> {
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
  await using handle = await open(path, flags)
  if ((await handle.stat()).uid === process.geteuid?.()) await giveTo(handle, owner)
}
