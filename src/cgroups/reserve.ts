import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The memory of the machine, or of the cgroup whose limit is in force; bytes. */
export interface MemoryUse {
  readonly total: number
  /** In use and not reclaimable, by everything: commands, the daemon, the system. */
  readonly used: number
}

const MIB = 2 ** 20

/**
 * What is kept back whatever was measured, where there is that much: a daemon of 70 MB under load, and a bare system.
 */
const MIN_RESERVE = 96 * MIB

/** At least an eighth of a machine is kept back, up to this (contract H2). */
const MAX_EIGHTH = 128 * MIB

/** Beyond what is in use at rest: an eighth for the daemon's byte budget, up to the largest one with its overhead. */
const MAX_MARGIN = 256 * MIB

/**
 * Bytes that commands leave to the daemon and the system: what those use, and a margin in which the daemon may grow. At
 * most half of the memory, so that small machines run commands at all.
 * @param system bytes that the daemon and the system use now.
 */
export function reserveOf(total: number, system: number): number {
  const eighth = Math.floor(total / 8)
  const wanted = Math.max(MIN_RESERVE, Math.min(eighth, MAX_EIGHTH), system + Math.min(eighth, MAX_MARGIN))
  return Math.min(wanted, Math.floor(total / 2))
}

/** Memory of one cgroup of version 2. */
export interface GroupUse {
  /** `memory.current`, caches included. */
  readonly current: number
  /** What of it cannot be reclaimed. */
  readonly unreclaimable: number
}

/** Reads the memory of the cgroup in `directory`; undefined where the memory controller is not there. Never rejects. */
export async function groupUse(directory: string): Promise<GroupUse | undefined> {
  const read = (name: string) => readFile(join(directory, name), 'latin1')
  try {
    const [current, stat] = await Promise.all([read('memory.current'), read('memory.stat')])
    const of = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0)
    const reclaimable = of('active_file') + of('inactive_file') + of('slab_reclaimable')
    return { current: Number(current), unreclaimable: Math.max(0, Number(current) - reclaimable) }
  } catch {
    return undefined
  }
}
