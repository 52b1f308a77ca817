import { AppError } from '../errors.ts'
import { cleanPath } from '../lib/clean-path.ts'
import type { User, Users } from './users.ts'

/**
 * UTF-16 units of a path: four times PATH_MAX, as `..` may make it shorter. Cleaning a mebibyte would halt the event
 * loop.
 */
const MAX_LENGTH = 16 * 1024

/**
 * Turns a path of a client into an absolute one (contract C1 to C6). Empty: `workdir`, else the home; relative
 * and `~`: below the home, cleaned; absolute: as it stands, uncleaned. Nothing is looked up on disk.
 * Throws AppError invalid_argument for `~name`, and for what is far too long for any path.
 */
export function resolvePath(path: string, user: User, workdir: string | undefined): string {
  if (path.length > MAX_LENGTH)
    throw new AppError('invalid_argument', `path is longer than ${MAX_LENGTH} characters: file name too long`)
  if (path === '') return workdir ? resolvePath(workdir, user, undefined) : user.home
  if (path.startsWith('/')) return path
  if (!path.startsWith('~')) return cleanPath(`${user.home}/${path}`)
  const rest = path.slice(1)
  if (rest !== '' && !rest.startsWith('/') && !rest.startsWith('\\')) {
    throw new AppError(
      'invalid_argument',
      `failed to expand path '${path}' for user '${user.name}': cannot expand user-specific home dir`,
    )
  }
  return cleanPath(`${user.home}/${rest}`)
}

/**
 * The user that an RPC acts for (contract A38 to A40): the one named, else the default one. What was looked up after
 * `since`, when the call had come, is not looked up again.
 * Throws AppError unauthenticated when that user does not exist or none is named at all.
 */
export async function selectUser(
  users: Users,
  name: string | undefined,
  defaultUser: string,
  since?: number,
): Promise<User> {
  if (name === undefined && defaultUser === '') throw new AppError('unauthenticated', 'no user specified')
  const wanted = name ?? defaultUser
  const user = users.known(wanted, since) ?? (await users.find(wanted))
  if (user !== undefined) return user
  throw new AppError(
    'unauthenticated',
    name === undefined ? `invalid default user: '${defaultUser}'` : `invalid username: '${name}'`,
  )
}
