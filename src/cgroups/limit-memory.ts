import { join } from 'node:path'
import { writeProperty } from './make-group.ts'
import { COMMAND_GROUPS, memoryLimits } from './properties.ts'
import { type GroupUse, groupUse, type MemoryUse, reserveOf } from './reserve.ts'

/**
 * Limits what commands in the cgroups below `root` may take to what the daemon and the system leave. A cgroup that
 * holds more than that keeps its limit, as a lower one would kill commands. Returns the limit, in bytes. Never rejects.
 */
export async function limitMemory(root: string, { total, used }: MemoryUse): Promise<number> {
  const uses = await Promise.all(COMMAND_GROUPS.map((name) => groupUse(join(root, name))))
  const commands = uses.reduce((sum, use) => sum + (use?.unreclaimable ?? 0), 0)
  const most = total - reserveOf(total, Math.max(0, used - commands))
  await Promise.all(COMMAND_GROUPS.map((name, index) => limit(join(root, name), uses[index], most)))
  return most
}

async function limit(directory: string, use: GroupUse | undefined, most: number): Promise<void> {
  if (use === undefined || use.current > most) return
  // What cannot be written was logged when the cgroup was made.
  for (const property of memoryLimits(most)) await writeProperty(directory, property).catch(() => {})
}
