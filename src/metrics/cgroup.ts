import { type ReusableFile, reusableFile } from '../lib/reusable-file.ts'
import type { Limit } from './limits.ts'
import { type Memory, namedFigure } from './proc.ts'

/** Memory of a cgroup, with what happened for lack of it. */
export interface GroupMemory extends Memory {
  readonly oomKills: number
}

/** One of the figures of a cgroup. */
export interface GroupReader<T> {
  readonly limit: Limit
  /** Rejects when a file cannot be read: as a rule the cgroup is gone. */
  read(): Promise<T>
  close(): Promise<void>
}

/**
 * The memory of a cgroup, in the terms of the machine's (contract E5): in use is what cannot be reclaimed at once.
 * Version 1 does not show how much of the kernel's memory can be.
 */
export function groupMemory(limit: Limit): GroupReader<GroupMemory> {
  const v2 = limit.version === 2
  const names = v2
    ? ['memory.current', 'memory.stat', 'memory.events']
    : ['memory.usage_in_bytes', 'memory.stat', 'memory.oom_control']
  const prefix = v2 ? '' : 'total_'
  return reader(limit, names, ([current = '', stat = '', events = '']) => {
    const of = (name: string) => namedFigure(stat, name)
    const slab = v2 ? of('slab_reclaimable') : 0
    const reclaimable = of(`${prefix}active_file`) + of(`${prefix}inactive_file`) + slab
    return {
      total: limit.amount,
      used: Math.max(0, Number(current) - reclaimable),
      cache: of(v2 ? 'file' : 'total_cache') + slab,
      oomKills: namedFigure(events, 'oom_kill'),
    }
  })
}

/** The seconds of CPU time that a cgroup has used since it was made. */
export function groupCpu(limit: Limit): GroupReader<number> {
  if (limit.version === 1) return reader(limit, ['cpuacct.usage'], ([usage]) => Number(usage) / 1e9)
  return reader(limit, ['cpu.stat'], ([stat = '']) => namedFigure(stat, 'usage_usec') / 1e6)
}

function reader<T>(limit: Limit, names: readonly string[], parse: (texts: readonly string[]) => T): GroupReader<T> {
  const files: ReusableFile[] = names.map((name) => reusableFile(`${limit.directory}/${name}`))
  return {
    limit,
    read: async () => parse(await Promise.all(files.map((file) => file.read()))),
    close: async () => {
      await Promise.all(files.map((file) => file.close()))
    },
  }
}
