import type { OomKill } from './kernel-log/oom-record.ts'
import { busyPercent } from './proc.ts'
import type { Readings } from './resource-reader.ts'

/**
 * The state of the sandbox at one moment, numbers only. Sizes in bytes; the fields of `metrics.Sample`, where their
 * meaning stands.
 */
export interface Sample {
  /** Milliseconds since 1970, by the wall clock. */
  readonly time: number
  readonly cpuCount: number
  readonly cpuLimit: number
  readonly cpuUsedPct: number
  readonly cpuSeconds: number
  /** 1 if the figures of CPU are a cgroup's, 0 if they are the machine's. */
  readonly cpuFromGroup: number
  readonly memTotal: number
  readonly memUsed: number
  readonly memCache: number
  /** 1 if the figures of memory are a cgroup's, 0 if they are the machine's. */
  readonly memFromGroup: number
  readonly oomKills: number
  readonly diskUsed: number
  readonly diskTotal: number
  readonly load1: number
  readonly load5: number
  readonly load15: number
  readonly processCount: number
  readonly watcherCount: number
  readonly commandCount: number
  readonly watchEventsDropped: number
  readonly watchOverflows: number
  readonly daemonMemory: number
  /** Seconds since the daemon started. */
  readonly uptime: number
  readonly ioReadBytes: number
  readonly ioWrittenBytes: number
  readonly serviceRestarts: number
}

/** What the daemon itself is doing. */
export interface Activity {
  /** Directory watchers that are open. */
  readonly watchers: number
  /** Commands and terminals that run. */
  readonly commands: number
  /** File events dropped since the start because a client did not take them. */
  readonly watchEventsDropped: number
  /** Overflows of the kernel's queue of file events since the start. */
  readonly watchOverflows: number
  /** Restarts of services since the start. */
  readonly serviceRestarts: number
}

/** Makes a sample. The CPU share is that between the two readings. */
export function toSample(before: Readings, now: Readings, activity: Activity): Sample {
  const [load1, load5, load15] = now.load
  return {
    time: Date.now(),
    cpuCount: now.cpuCount,
    cpuLimit: now.cpuLimit,
    cpuUsedPct: usedPercent(before, now),
    cpuSeconds: now.cpuSeconds,
    cpuFromGroup: now.cpuGroup === undefined ? 0 : 1,
    memTotal: now.memory.total,
    memUsed: now.memory.used,
    memCache: now.memory.cache,
    memFromGroup: now.memoryGroup === undefined ? 0 : 1,
    oomKills: now.memory.oomKills,
    diskUsed: now.diskUsed,
    diskTotal: now.diskTotal,
    load1,
    load5,
    load15,
    processCount: now.processes,
    watcherCount: activity.watchers,
    commandCount: activity.commands,
    watchEventsDropped: activity.watchEventsDropped,
    watchOverflows: activity.watchOverflows,
    daemonMemory: now.resident,
    uptime: process.uptime(),
    ioReadBytes: now.io.read,
    ioWrittenBytes: now.io.written,
    serviceRestarts: activity.serviceRestarts,
  }
}

/** A sample of zeros: the names of the fields, for the history. */
export const NO_SAMPLE: Sample = {
  time: 0,
  cpuCount: 0,
  cpuLimit: 0,
  cpuUsedPct: 0,
  cpuSeconds: 0,
  cpuFromGroup: 0,
  memTotal: 0,
  memUsed: 0,
  memCache: 0,
  memFromGroup: 0,
  oomKills: 0,
  diskUsed: 0,
  diskTotal: 0,
  load1: 0,
  load5: 0,
  load15: 0,
  processCount: 0,
  watcherCount: 0,
  commandCount: 0,
  watchEventsDropped: 0,
  watchOverflows: 0,
  daemonMemory: 0,
  uptime: 0,
  ioReadBytes: 0,
  ioWrittenBytes: 0,
  serviceRestarts: 0,
}

const MIB = 2 ** 20

/** The CPUs that the platform asks for; all 0 outside microVMs. */
interface CpuTarget {
  /** CPUs that can be online. */
  readonly possible: number
  /** CPUs that shall be online; 0: not set. */
  readonly target: number
  /** Runs towards the target since it was set. */
  readonly attempts: number
  /** Milliseconds that the write that the kernel works on has taken so far; 0: there is none. */
  readonly pendingMs: number
}

/** What `GET /metrics` reports besides the sample, as it is now. */
export interface LiveFigures {
  readonly cpus: CpuTarget
  /** Undefined: not known, and left out. */
  readonly oomKills: readonly OomKill[] | undefined
}

/** The body of `GET /metrics`: these keys in this order (contract E1, E2, E5, N17, N19). */
export function toMetricsJson(sample: Sample, { cpus, oomKills }: LiveFigures): string {
  const body = {
    ts: Math.floor(sample.time / 1000),
    cpu_count: sample.cpuCount,
    cpu_used_pct: sample.cpuUsedPct,
    cpu_possible: cpus.possible,
    cpu_target: cpus.target,
    cpu_target_attempts: cpus.attempts,
    cpu_write_pending_ms: cpus.pendingMs,
    mem_total_mib: Math.floor(sample.memTotal / MIB),
    mem_used_mib: Math.floor(sample.memUsed / MIB),
    mem_total: sample.memTotal,
    mem_used: sample.memUsed,
    mem_cache: sample.memCache,
    disk_used: sample.diskUsed,
    disk_total: sample.diskTotal,
    oom_kills: oomKills,
  }
  return `${JSON.stringify(body)}\n`
}

/**
 * In a cgroup, of the time that its limit allows; readings under different limits have only the machine's times in
 * common.
 */
function usedPercent(before: Readings, now: Readings): number {
  if (now.cpuGroup === undefined || now.cpuGroup !== before.cpuGroup) return busyPercent(before.cpuTimes, now.cpuTimes)
  const allowed = ((now.at - before.at) / 1000) * now.cpuLimit
  return busyPercent({ busy: before.cpuSeconds, total: 0 }, { busy: now.cpuSeconds, total: allowed })
}
