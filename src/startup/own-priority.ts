import { writeFile } from 'node:fs/promises'
import { getPriority } from 'node:os'

/**
 * Makes a raised priority of this process (nice(2) below 0) count against its commands. Each command is a session of
 * its own, and where the kernel groups processes by session (autogroups, sched(7)) a nice value counts only within the
 * session; between sessions the group's own value does. Best effort: without that file there are no such groups.
 */
export async function applyOwnPriority(): Promise<void> {
  const nice = getPriority()
  if (nice < 0) await writeFile('/proc/self/autogroup', String(nice)).catch(() => {})
}
