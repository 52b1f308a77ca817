import type { User, Users } from './users.ts'

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
