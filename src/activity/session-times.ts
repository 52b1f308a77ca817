import { readFile } from 'node:fs/promises'
import { forEachLimited } from '../lib/for-each-limited.ts'
import { listPids } from '../lib/proc-pid.ts'

/** Files of /proc that are read at a time. */
const READS = 8

/** Ticks of a second in /proc/pid/stat: USER_HZ (time(7)). */
const TICKS_PER_SECOND = 100

/** Fields of proc_pid_stat(5), counted from the one after the name. */
const SESSION = 3
const FIRST_TIME = 11
const AFTER_TIMES = 15

/**
 * The seconds of CPU time of each of these sessions: of their members, and of the children that these have waited for.
 * Sessions without members are left out. Never rejects.
 */
export async function sessionTimes(sessions: ReadonlySet<number>): Promise<Map<number, number>> {
  const times = new Map<number, number>()
  await forEachLimited(await listPids(), READS, async (pid) => {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
    // The name in field 2 may contain anything, also spaces and brackets.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const session = Number(fields[SESSION])
    if (!sessions.has(session)) return
    const ticks = fields.slice(FIRST_TIME, AFTER_TIMES).reduce((sum, field) => sum + Number(field), 0)
    times.set(session, (times.get(session) ?? 0) + ticks / TICKS_PER_SECOND)
  })
  return times
}
