import { statfs } from 'node:fs/promises'
import { AppError } from '../errors.ts'
import { fileErrno } from './failure.ts'
import type { FileUser } from './file-user.ts'

/** Who owns what is created, and for whom it is done. */
export type Owner = Omit<FileUser, 'home'>

/** Magic numbers (statfs(2)) of filesystems made by the kernel, whose files have owners that cannot be changed. */
export const KERNEL_FILESYSTEMS: ReadonlySet<number> = new Set([
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

/** Of fchown(2): without CAP_CHOWN, for an id that the user namespace does not map, from a filter of system calls. */
const REFUSALS = new Set(['EPERM', 'EACCES', 'EINVAL', 'ENOSYS'])

/**
 * Judges why an open file could not be given to its owner. Resolves where owners are the kernel's matter, or where the
 * owner is the daemon's own user and the file another user's. Rejects with permission_denied when a daemon that may
 * not change owners should act for another user, else with the error itself.
 */
export async function forgiveOwner(fd: number, owner: Owner, error: unknown): Promise<void> {
  const daemon = process.geteuid?.()
  const refusal = ownerRefusal(owner, error)
  if (refusal !== undefined && daemon === owner.uid) return
  if (refusal !== undefined && daemon !== 0) throw refusal
  const { type } = await statfs(`/proc/self/fd/${fd}`)
  if (!KERNEL_FILESYSTEMS.has(type)) throw refusal ?? error
}

/** The AppError for an owner that the daemon may not set; undefined for any other failure. */
export function ownerRefusal(owner: Owner, error: unknown): AppError | undefined {
  if (!REFUSALS.has(fileErrno(error) ?? '')) return undefined
  const why = process.geteuid?.() === 0 ? 'may not give files away' : 'does not run as root'
  return new AppError('permission_denied', `cannot act for user '${owner.name}': the daemon ${why}`, { cause: error })
}
