import { ownName, ownUser } from '../../src/users/own-user.ts'
import { createUsers, type User } from '../../src/users/users.ts'

/** The user that runs the tests, as the daemon sees it: also one that /etc/passwd does not know. */
export async function self(): Promise<User> {
  const own = ownUser(process.env['HOME'] ?? '/')
  const users = createUsers({ own })
  return (await users.find(await ownName(users, own))) ?? own
}
