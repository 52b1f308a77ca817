import { readFile, statfs } from 'node:fs/promises'
import { busyPercent, type CpuTimes, countCpus, parseCpuTimes, parseMemory } from './proc.ts'

const MIB = 2 ** 20

/** The state of the machine at one moment, in the order and with the names that clients get (contract E1). Sizes in bytes. */
export interface Sample {
  /** Unix seconds by the wall clock. */
  readonly ts: number
  readonly cpu_count: number
  readonly cpu_used_pct: number
  readonly mem_total_mib: number
  readonly mem_used_mib: number
  readonly mem_total: number
  readonly mem_used: number
  readonly mem_cache: number
  readonly disk_used: number
  readonly disk_total: number
}

/** Takes samples; the CPU share is that of the time since the sample before, or since `createSampler`. */
export interface Sampler {
  /** Rejects when a source cannot be read or makes no sense. */
  take(): Promise<Sample>
}

/** Where the figures come from; other places are for tests. */
export interface Sources {
  readonly proc: string
  readonly disk: string
}

/** Makes a sampler of the whole machine, as its kernel shows it (contract E8), and starts the first window of CPU time. */
export function createSampler(sources: Sources = { proc: '/proc', disk: '/' }): Sampler {
  let previous: CpuTimes | undefined
  const started = readFile(`${sources.proc}/stat`, 'latin1').then(
    (stat) => {
      previous ??= parseCpuTimes(stat)
    },
    () => {},
  )
  return {
    take: async () => {
      await started
      const [stat, meminfo, cpuinfo, disk] = await Promise.all([
        readFile(`${sources.proc}/stat`, 'latin1'),
        readFile(`${sources.proc}/meminfo`, 'latin1'),
        readFile(`${sources.proc}/cpuinfo`, 'latin1'),
        statfs(sources.disk, { bigint: true }),
      ])
      const cpu = parseCpuTimes(stat)
      const before = previous ?? cpu
      previous = cpu
      const memory = parseMemory(meminfo)
      return {
        ts: Math.floor(Date.now() / 1000),
        cpu_count: countCpus(cpuinfo, stat),
        cpu_used_pct: busyPercent(before, cpu),
        mem_total_mib: Math.floor(memory.total / MIB),
        mem_used_mib: Math.floor(memory.used / MIB),
        mem_total: memory.total,
        mem_used: memory.used,
        mem_cache: memory.cache,
        disk_used: Number((disk.blocks - disk.bavail) * disk.bsize),
        disk_total: Number(disk.blocks * disk.bsize),
      }
    },
  }
}
