import type { Log } from '../log.ts'
import { createUsers, type User, type Users } from './users.ts'

/** The user that the daemon runs as, as far as the kernel knows it: a name that is its number, or root. */
export function ownUser(home: string): User {
  const uid = process.geteuid?.() ?? 0
  return { name: uid === 0 ? 'root' : String(uid), uid, gid: process.getegid?.() ?? 0, home }
}

/** The name that /etc/passwd has for that user, else its own. */
export async function ownName(users: Users, own: User): Promise<string> {
  const name = await users.nameOf(own.uid)
  return (await users.find(name))?.uid === own.uid ? name : own.name
}

/** What the configuration says of users. */
interface UserSettings {
  /** Home of the daemon's own user, where /etc/passwd has none. */
  readonly home: string
  /** Empty: the daemon's own. */
  readonly defaultUser: string
  /** Undefined: as /etc/passwd says. */
  readonly defaultHome: string | undefined
}

/** The users of the sandbox, and the name of the default one. Rejects if /etc/passwd is there and cannot be read. */
export async function openUsers(settings: UserSettings): Promise<{ readonly users: Users; readonly user: string }> {
  const own = ownUser(settings.home)
  const homes = new Map<string, string>()
  const users = createUsers({ own, homes })
  const user = settings.defaultUser || (await ownName(users, own))
  if (settings.defaultHome !== undefined) homes.set(user, settings.defaultHome)
  return { users, user }
}

/** Logs once, for a daemon that is not root, what it cannot do. */
export function warnWithoutRoot(log: Log): void {
  if (process.geteuid?.() === 0) return
  log.warn(
    { uid: process.geteuid?.() },
    'not running as root: every command runs as this user, other users are refused',
  )
}
