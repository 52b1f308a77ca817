import { AppError } from '../errors.ts'
import type { Actor } from '../native/files.ts'
import type { User, Users } from '../users/users.ts'

/**
 * A user for whom files are read and changed (`Actor`): with the daemon's rights, or, if `groups` is set, with their
 * own.
 */
export type FileUser = User & Actor

/** Returns the user of file calls. */
export type FileUsers = (user: User) => FileUser | Promise<FileUser>

/** @param strict every user but root has no more than their own rights (`-strict-file-users`). */
export function createFileUsers(users: Users, strict = false): FileUsers {
  if (!strict) return (user) => user
  return async (user) => (user.uid === 0 ? user : { ...user, groups: await users.groupsOf(user) })
}

/**
 * Settles as a file call of the addon does, with its refusals as AppErrors: permission_denied for links that must not
 * be followed and for what the user's own rights do not allow, invalid_argument for a path that leaves `beneath`.
 */
export async function permitted<T>(path: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    throw refusalOf(path, error) ?? error
  }
}

/** The AppError for a refusal by the addon; undefined for any other failure. */
export function refusalOf(path: string, error: unknown): AppError | undefined {
  if (!(error instanceof Error && 'syscall' in error)) return undefined
  switch (error.syscall) {
    case 'follow':
      return new AppError('permission_denied', `path '${path}' leads through a link that must not be followed`, {
        cause: error,
      })
    case 'rights':
      return new AppError('permission_denied', `permission denied: ${path}`, { cause: error })
    case 'beneath':
      return new AppError('invalid_argument', `path '${path}' leads out of the home directory`, { cause: error })
    default:
      return undefined
  }
}
