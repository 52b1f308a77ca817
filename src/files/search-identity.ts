import { AppError } from '../errors.ts'
import type { User, Users } from '../users/users.ts'
import type { SearchProgram } from './search-process.ts'

/**
 * As whom a program searches for a user: with all groups. Rejects with AppError permission_denied where the daemon is
 * not root and the user another one.
 */
export async function identityOf(user: User, users: Users): Promise<SearchProgram['user']> {
  const own = process.geteuid?.()
  if (own === 0) return { uid: user.uid, gid: user.gid, groups: await users.groupsOf(user) }
  if (user.uid === own) return undefined
  throw new AppError('permission_denied', `cannot search as user '${user.name}': the daemon does not run as root`)
}
