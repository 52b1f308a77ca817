import { forEachMember } from '../lib/session-members.ts'

/**
 * The seconds of CPU time of each of these sessions: of their members, and of the children that these have waited for.
 * Sessions without members are left out. Never rejects.
 */
export async function sessionTimes(sessions: ReadonlySet<number>): Promise<Map<number, number>> {
  const times = new Map<number, number>()
  await forEachMember(sessions, ({ session, cpuSeconds }) => {
    times.set(session, (times.get(session) ?? 0) + cpuSeconds)
  })
  return times
}
