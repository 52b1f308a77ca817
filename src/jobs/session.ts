import { forEachLimited } from '../lib/for-each-limited.ts'
import { listPids, statOf } from '../lib/proc-pid.ts'

/** Files of /proc that are read at a time. */
const LANES = 16

/** The pids of a session, in ascending order, zombies excepted. */
export async function sessionOf(leader: number): Promise<number[]> {
  const members: number[] = []
  await forEachLimited(await listPids(), LANES, async (pid) => {
    if ((await statOf(pid))?.session === leader) members.push(pid)
  })
  return members.sort((one, other) => one - other)
}
