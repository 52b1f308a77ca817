import { readdir, readFile, statfs } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { type ReusableFile, reusableFile } from '../lib/reusable-file.ts'
import { type GroupMemory, type GroupReader, groupCpu, groupMemory } from './cgroup.ts'
import type { Sources } from './hierarchy.ts'
import { findLimits, type Limit } from './limits.ts'
import {
  type CpuTimes,
  countCpus,
  type DiskTraffic,
  namedFigure,
  parseCpuTimes,
  parseDiskTraffic,
  parseLoad,
  parseMemory,
  parseResident,
  TICKS_PER_SECOND,
} from './proc.ts'

/** What the sources say at one moment. Sizes in bytes. */
export interface Readings {
  /** On the clock of performance.now(). */
  readonly at: number
  readonly cpuCount: number
  /** CPUs that can be used. */
  readonly cpuLimit: number
  /** Seconds of CPU time used since the machine or the cgroup began. */
  readonly cpuSeconds: number
  /** The time of all CPUs of the machine. */
  readonly cpuTimes: CpuTimes
  /** The cgroup whose CPU limit is in force. */
  readonly cpuGroup: string | undefined
  readonly memory: GroupMemory
  readonly memoryGroup: string | undefined
  readonly diskUsed: number
  readonly diskTotal: number
  readonly load: readonly [number, number, number]
  readonly processes: number
  /** Bytes read from and written to disks since the machine began. */
  readonly io: DiskTraffic
  /** Resident memory of this process. */
  readonly resident: number
}

/** Reads the figures, one reading at a time. */
export interface ResourceReader {
  /** Rejects when one of the sources of `GET /metrics` cannot be read or makes no sense (contract E7). */
  read(): Promise<Readings>
  /** Closes every file; a later reading opens them again. */
  close(): Promise<void>
}

/** Readings between two looks at the limits of cgroups: half a minute, as they can be changed while the daemon runs. */
const READINGS_PER_LOOK = 15

/**
 * Readings for which a count of processes holds: ten seconds. Listing /proc costs as much as all other sources
 * together.
 */
const READINGS_PER_COUNT = 5

/** Reads /proc, the root file system and, where their limits are in force, cgroups. The caller closes it. */
export function openResourceReader(sources: Sources): ResourceReader {
  const host = openHost(sources)
  const groups = openGroups(sources)
  return {
    read: async () => {
      const [own, { memory, cpu }, disk] = await Promise.all([
        host.read(),
        groups.read(),
        statfs(sources.disk, { bigint: true }),
      ])
      const limited = cpu !== undefined && cpu.limit.amount < own.cpuCount ? cpu : undefined
      const narrowed = memory !== undefined && memory.figures.total < own.memory.total ? memory : undefined
      return {
        ...own,
        at: performance.now(),
        cpuCount: Math.ceil(limited?.limit.amount ?? own.cpuCount),
        cpuLimit: limited?.limit.amount ?? own.cpuCount,
        cpuSeconds: limited?.figures ?? own.cpuTimes.busy / TICKS_PER_SECOND,
        cpuGroup: limited?.limit.directory,
        memory: narrowed?.figures ?? own.memory,
        memoryGroup: narrowed?.limit.directory,
        diskUsed: Number((disk.blocks - disk.bavail) * disk.bsize),
        diskTotal: Number(disk.blocks * disk.bsize),
      }
    },
    close: async () => {
      await Promise.all([host.close(), groups.close()])
    },
  }
}

/** Bytes that the cgroup or the machine has, and what was used as the daemon started. */
export type MemoryAtStart = Pick<GroupMemory, 'total' | 'used'>

/** The memory of the machine or of its cgroup, in bytes; where it cannot be read, the machine's with nothing in use. */
export async function memoryOf(resources: ResourceReader): Promise<MemoryAtStart> {
  const { memory } = await resources.read().catch(() => ({ memory: { total: totalmem(), used: 0 } }))
  return { total: memory.total, used: memory.used }
}

/** The machine as its kernel shows it (contract E8). */
function openHost({ proc }: Sources) {
  const file = (name: string) => reusableFile(`${proc}/${name}`)
  const needed = [file('stat'), file('meminfo')]
  const extra = [file('loadavg'), file('self/status'), file('vmstat')]
  const cpus = cpuCounter(proc)
  const processes = processCounter(proc)
  return {
    read: async () => {
      const [[stat = '', meminfo = ''], [load = '', status = '', vmstat = ''], count] = await Promise.all([
        Promise.all(needed.map((source) => source.read())),
        Promise.all(extra.map(readOrNothing)),
        processes(),
      ])
      return {
        cpuTimes: parseCpuTimes(stat),
        cpuCount: await cpus(stat),
        memory: { ...parseMemory(meminfo), oomKills: namedFigure(vmstat, 'oom_kill') },
        load: parseLoad(load),
        io: parseDiskTraffic(vmstat),
        resident: parseResident(status),
        processes: count,
      }
    },
    close: async () => {
      await Promise.all([...needed, ...extra].map((source) => source.close()))
    },
  }
}

/** A kernel or a sandbox may lack what only this daemon's own services report. */
function readOrNothing(file: ReusableFile): Promise<string> {
  return file.read().catch(() => '')
}

/** Counts CPUs. cpuinfo costs the kernel up to milliseconds per CPU, so it is read only when CPUs came or went. */
function cpuCounter(proc: string): (stat: string) => Promise<number> {
  let known: { readonly online: number; readonly count: number } | undefined
  return async (stat) => {
    const online = countCpus('', stat)
    if (known?.online !== online)
      known = { online, count: countCpus(await readFile(`${proc}/cpuinfo`, 'latin1'), stat) }
    return known.count
  }
}

function processCounter(proc: string): () => Promise<number> {
  let count = 0
  let left = 0
  return async () => {
    if (left-- > 0) return count
    left = READINGS_PER_COUNT - 1
    count = (await readdir(proc)).filter((name) => /^\d+$/.test(name)).length
    return count
  }
}

/**
 * The cgroups whose limits hold. A cgroup that cannot be read any more fails one reading, and is looked for again by
 * the next.
 */
function openGroups(sources: Sources) {
  let memory: GroupReader<GroupMemory> | undefined
  let cpu: GroupReader<number> | undefined
  let untilLook = 0
  const look = async () => {
    const limits = await findLimits(sources)
    memory = await follow(memory, limits.memory, groupMemory)
    cpu = await follow(cpu, limits.cpu, groupCpu)
    untilLook = READINGS_PER_LOOK
  }
  return {
    read: async () => {
      if (untilLook-- <= 0) await look()
      try {
        const [inMemory, inCpu] = await Promise.all([figuresOf(memory), figuresOf(cpu)])
        return { memory: inMemory, cpu: inCpu }
      } catch (error) {
        untilLook = 0
        throw error
      }
    },
    close: async () => {
      await Promise.all([memory?.close(), cpu?.close()])
    },
  }
}

async function figuresOf<T>(reader: GroupReader<T> | undefined) {
  return reader === undefined ? undefined : { limit: reader.limit, figures: await reader.read() }
}

/** The reader for a limit: the one that is there if nothing has changed. */
async function follow<T>(
  reader: GroupReader<T> | undefined,
  limit: Limit | undefined,
  open: (limit: Limit) => GroupReader<T>,
): Promise<GroupReader<T> | undefined> {
  if (limit?.directory === reader?.limit.directory && limit?.amount === reader?.limit.amount) return reader
  await reader?.close()
  return limit === undefined ? undefined : open(limit)
}
