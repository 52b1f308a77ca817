import { AppError } from '../../errors.ts'
import { resolvePath } from '../../users/paths.ts'
import type { User, Users } from '../../users/users.ts'

/**
 * The user name that a /files request means: the one given, an empty one included, else the default (contract B14).
 * Throws AppError invalid_argument when there is neither.
 */
export function fileUserName(given: string | undefined, defaultUser: string): string {
  if (given !== undefined) return given
  if (defaultUser === '') throw new AppError('invalid_argument', 'username not provided')
  return defaultUser
}

/** The user of that name. Throws AppError unauthenticated when there is none (contract B14). */
export async function findFileUser(users: Users, name: string): Promise<User> {
  const user = await users.find(name)
  if (user === undefined) {
    throw new AppError('unauthenticated', `error looking up user '${name}': user: unknown user ${name}`)
  }
  return user
}

/** What a path is resolved with. */
interface PathContext {
  readonly user: User
  readonly workdir: string | undefined
  /** Put in front of the reason when the path cannot be resolved. */
  readonly what: string
}

/** `resolvePath` with the words of a /files endpoint in front of its error (contract B15). */
export function resolveFilePath(path: string, { user, workdir, what }: PathContext): string {
  try {
    return resolvePath(path, user, workdir)
  } catch (error) {
    if (!(error instanceof AppError)) throw error
    throw new AppError(error.kind, `${what}: ${error.message}`, { cause: error })
  }
}
