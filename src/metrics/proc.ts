/** Time that all CPUs together have spent since some moment, in any unit (the kernel's ticks in /proc/stat). */
export interface CpuTimes {
  readonly total: number
  readonly busy: number
}

/** Memory in bytes. */
export interface Memory {
  readonly total: number
  readonly used: number
  readonly cache: number
}

/**
 * The aggregate line of /proc/stat, as proc_stat(5) describes it; guest time is part of user time. Throws without that
 * line.
 */
export function parseCpuTimes(stat: string): CpuTimes {
  const fields = /^cpu +(.*)$/m.exec(stat)?.[1]
  if (fields === undefined) throw new Error('/proc/stat has no line for all CPUs')
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softIrq = 0, steal = 0] = fields
    .split(' ')
    .map(Number)
  const busy = user + nice + system + irq + softIrq + steal
  return { total: busy + idle + wait, busy }
}

/** The share of time that the CPUs were busy between two readings, in percent with two decimals (contract E4). */
export function busyPercent(before: CpuTimes, after: CpuTimes): number {
  const busy = after.busy - before.busy
  const total = after.total - before.total
  if (busy <= 0) return 0
  if (total <= 0) return 100
  return Math.round(Math.min(100, (100 * busy) / total) * 100) / 100
}

/**
 * The number of CPUs: `processor` lines of /proc/cpuinfo, or, where it has none, the numbered lines of /proc/stat
 * (contract E3).
 */
export function countCpus(cpuinfo: string, stat: string): number {
  const listed = cpuinfo.match(/^processor\s*:/gm)?.length ?? 0
  return listed > 0 ? listed : (stat.match(/^cpu\d+ /gm)?.length ?? 0)
}

/**
 * The figures of /proc/meminfo (contract E5). Kernels before 3.14 have no MemAvailable; what is free or can be dropped
 * stands in for it. Throws without MemTotal.
 */
export function parseMemory(meminfo: string): Memory {
  const bytes = new Map<string, number>()
  for (const [, name = '', kibibytes] of meminfo.matchAll(/^(\w+):\s+(\d+) kB$/gm)) {
    bytes.set(name, Number(kibibytes) * 1024)
  }
  const of = (name: string) => bytes.get(name) ?? 0
  const total = bytes.get('MemTotal')
  if (total === undefined) throw new Error('/proc/meminfo has no MemTotal')
  const available = bytes.get('MemAvailable') ?? of('MemFree') + of('Buffers') + of('Cached')
  return { total, used: total - available, cache: of('Cached') + of('SReclaimable') }
}

/** Ticks of a second in /proc/stat: USER_HZ, which is 100 on every architecture that Node runs on (time(7)). */
export const TICKS_PER_SECOND = 100

/** The load averages over 1, 5 and 15 minutes (proc_loadavg(5)); zeros if the text is none. */
export function parseLoad(loadavg: string): readonly [number, number, number] {
  const [one = 0, five = 0, fifteen = 0] = /^([\d.]+) ([\d.]+) ([\d.]+)/.exec(loadavg)?.slice(1).map(Number) ?? []
  return [one, five, fifteen]
}

/** Bytes resident, of a /proc/pid/status; 0 if it does not say. */
export function parseResident(status: string): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
}

/**
 * One figure of a file of `name value` lines, as /proc/vmstat and many files of a cgroup are; 0 if it has none of the
 * name.
 */
export function namedFigure(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0)
}

/** Bytes. */
export interface DiskTraffic {
  readonly read: number
  readonly written: number
}

/** What all block devices have transferred, of a /proc/vmstat, which counts KiB; 0 if it does not say. */
export function parseDiskTraffic(vmstat: string): DiskTraffic {
  return { read: namedFigure(vmstat, 'pgpgin') * 1024, written: namedFigure(vmstat, 'pgpgout') * 1024 }
}
