import { createNextRun } from '../lib/next-run.ts'
import { listSessions } from '../native/index.ts'

/** The leaders that the next walk looks for. */
let wanted = new Set<number>()

const walkSoon = createNextRun(async () => {
  const leaders = [...wanted]
  wanted = new Set()
  const packed = await listSessions(leaders).catch(() => Buffer.alloc(0))
  const members = new Map<number, number[]>(leaders.map((leader) => [leader, []]))
  for (let at = 0; at < packed.length; at += 8) members.get(packed.readUInt32LE(at))?.push(packed.readUInt32LE(at + 4))
  return members
})

/**
 * The pids of a session, in ascending order, zombies excepted; none where there is no /proc. Calls during a walk over
 * all processes share the next one.
 */
export async function sessionOf(leader: number): Promise<number[]> {
  wanted.add(leader)
  const members = await walkSoon()
  return (members.get(leader) ?? []).toSorted((one, other) => one - other)
}
