import { forEachLimited } from './for-each-limited.ts'
import { listPids, statFieldsOf } from './proc-pid.ts'

/** Files of /proc that are read at a time. */
const READS = 8

/** Ticks of a second in /proc/pid/stat: USER_HZ (time(7)). */
const TICKS_PER_SECOND = 100

/** Places in `statFieldsOf`. */
const SESSION = 3
const FIRST_TIME = 11
const AFTER_TIMES = 15

/** A process of a session, also a zombie. */
interface SessionMember {
  readonly pid: number
  readonly session: number
  /** CPU time of the process and of the children that it has waited for. */
  readonly cpuSeconds: number
}

/**
 * Calls `use` for each process of these sessions, in no order. Reads a file for each process of the machine. Rejects
 * only if `use` does.
 */
export async function forEachMember(
  sessions: ReadonlySet<number>,
  use: (member: SessionMember) => void | Promise<void>,
): Promise<void> {
  await forEachLimited(await listPids(), READS, async (pid) => {
    const fields = await statFieldsOf(pid)
    const session = Number(fields[SESSION])
    if (!sessions.has(session)) return
    const ticks = fields.slice(FIRST_TIME, AFTER_TIMES).reduce((sum, field) => sum + Number(field), 0)
    await use({ pid, session, cpuSeconds: ticks / TICKS_PER_SECOND })
  })
}
