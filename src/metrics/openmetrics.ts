import type { ByteBudget } from '../budget/budget.ts'
import { LATENCY_BOUNDS, type MethodCalls } from './calls.ts'
import type { Sample } from './sample.ts'

/** The content type of `toOpenMetrics`. */
export const OPENMETRICS_TYPE = 'application/openmetrics-text; version=1.0.0; charset=utf-8'

/** One metric family (OpenMetrics 1.0, section 4.4). */
interface Family {
  /** A counter's without `_total`. */
  readonly name: string
  readonly help: string
  readonly type: 'gauge' | 'counter' | 'histogram'
  readonly values: readonly Value[]
}

interface Value {
  readonly value: number
  readonly labels: Readonly<Record<string, string>>
  /** Default: the family's. */
  readonly metricName?: string
}

/** What the text has besides the latest sample. */
interface NotSampled {
  readonly version: string
  readonly methods: ReadonlyMap<string, MethodCalls>
  readonly budget: Pick<ByteBudget, 'total' | 'usage' | 'refusals'>
  /** Since the last sign of activity; 0 while something lasts. */
  readonly idleSeconds: number
}

/** The latest sample and the RPCs so far as OpenMetrics text (OpenMetrics 1.0), with names as Prometheus has them. */
export function toOpenMetrics(sample: Sample, now: NotSampled): string {
  const families = [
    ...sampleFamilies(sample),
    buildInfo(now.version),
    idleTime(now.idleSeconds),
    ...budgetFamilies(now.budget),
    ...callFamilies(now.methods),
  ]
  return `${families.flatMap(linesOf).join('\n')}\n# EOF\n`
}

function linesOf({ name, help, type, values }: Family): string[] {
  const sampleName = type === 'counter' ? `${name}_total` : name
  return [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...values.map(({ metricName = sampleName, labels, value }) => `${metricName}${labelText(labels)} ${value}`),
  ]
}

function labelText(labels: Value['labels']): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escaped(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escaped(text: string): string {
  return text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')
}

/** How a figure of the sample is written. */
interface Figure {
  readonly type: 'gauge' | 'counter'
  readonly name: string
  readonly help: string
  /** What the figure is divided by. */
  readonly unit: number
}

const gauge = (name: string, help: string, unit = 1): Figure => ({ type: 'gauge', name, help, unit })
const counter = (name: string, help: string, unit = 1): Figure => ({ type: 'counter', name, help, unit })

/** In the order of the text. A new field of the sample does not compile until it is here. */
const FIGURES: Readonly<Record<keyof Sample, Figure | 'with others'>> = {
  time: gauge('envd_sample_timestamp_seconds', 'When the sample was taken, in seconds since 1970.', 1000),
  cpuLimit: gauge('envd_cpus', 'CPUs that can be used; a whole number unless a cgroup sets a limit.'),
  cpuUsedPct: gauge('envd_cpu_used_ratio', 'Share of the CPUs used in the last two seconds, 0 to 1.', 100),
  cpuSeconds: counter('envd_cpu_seconds', 'CPU time used since the machine or the cgroup began.'),
  memTotal: gauge('envd_memory_size_bytes', 'Memory there is, or the limit of the cgroup.'),
  memUsed: gauge('envd_memory_used_bytes', 'Memory in use that cannot be reclaimed.'),
  memCache: gauge('envd_memory_cache_bytes', 'Memory of file cache and reclaimable kernel memory.'),
  oomKills: counter('envd_oom_kills', 'Processes killed for want of memory.'),
  diskTotal: gauge('envd_disk_size_bytes', 'Size of the root file system.'),
  diskUsed: gauge('envd_disk_used_bytes', 'Bytes of the root file system in use or reserved.'),
  load1: gauge('envd_load1', 'Load average over 1 minute.'),
  load5: gauge('envd_load5', 'Load average over 5 minutes.'),
  load15: gauge('envd_load15', 'Load average over 15 minutes.'),
  processCount: gauge('envd_processes', 'Processes that the daemon can see.'),
  commandCount: gauge('envd_commands', 'Commands and terminals that run under the daemon.'),
  watcherCount: gauge('envd_watchers', 'Directory watchers that are open.'),
  watchEventsDropped: counter('envd_watch_dropped_events', 'File events that slow clients have lost.'),
  watchOverflows: counter('envd_watch_overflows', 'Overflows of the kernel queue of file events.'),
  daemonMemory: gauge('process_resident_memory_bytes', 'Resident memory of the daemon.'),
  ioReadBytes: counter('envd_io_read_bytes', 'Bytes that the machine has read from its disks.'),
  ioWrittenBytes: counter('envd_io_written_bytes', 'Bytes that the machine has written to its disks.'),
  serviceRestarts: counter('envd_service_restarts', 'Restarts of services.'),
  uptime: gauge('envd_uptime_seconds', 'Time since the daemon started.'),
  cpuCount: 'with others',
  cpuFromGroup: 'with others',
  memFromGroup: 'with others',
}

function sampleFamilies(sample: Sample): Family[] {
  const figures = Object.entries(FIGURES).flatMap(([field, figure]) =>
    // The keys are those of a sample.
    figure === 'with others' ? [] : [{ ...figure, value: sample[field as keyof Sample] / figure.unit }],
  )
  return [...figures.map(({ type, ...figure }) => single(type, figure)), sources(sample)]
}

function single(
  type: 'gauge' | 'counter',
  { name, help, value }: { readonly name: string; readonly help: string; readonly value: number },
): Family {
  return { name, help, type, values: [{ value, labels: {} }] }
}

function sources({ cpuFromGroup, memFromGroup }: Sample): Family {
  const of = (resource: string, fromGroup: number): Value => ({
    value: 1,
    labels: { resource, source: fromGroup === 1 ? 'cgroup' : 'host' },
  })
  return {
    name: 'envd_resource_source',
    help: 'Whose figures these are: those of the whole machine, or of the cgroup whose limit is in force.',
    type: 'gauge',
    values: [of('cpu', cpuFromGroup), of('memory', memFromGroup)],
  }
}

function buildInfo(version: string): Family {
  const help = 'The version that the daemon is compatible with.'
  return { name: 'envd_build_info', help, type: 'gauge', values: [{ value: 1, labels: { version } }] }
}

function idleTime(value: number): Family {
  const help = 'Time since the last sign that the sandbox is in use; 0 while something lasts.'
  return single('gauge', { name: 'envd_idle_seconds', help, value })
}

function budgetFamilies({ total, usage, refusals }: NotSampled['budget']): Family[] {
  const held = 'Bytes that wait for a client or a process, by what they are.'
  return [
    single('gauge', { name: 'envd_budget_size_bytes', help: 'Bytes that may wait in sum.', value: total }),
    {
      name: 'envd_budget_bytes',
      help: held,
      type: 'gauge',
      values: Object.entries(usage()).map(([kind, value]) => ({ value, labels: { kind } })),
    },
    single('counter', {
      name: 'envd_budget_refusals',
      help: 'How often the budget refused to hold more.',
      value: refusals,
    }),
  ]
}

function callFamilies(methods: ReadonlyMap<string, MethodCalls>): Family[] {
  const calls = [...methods]
  return [
    {
      name: 'envd_rpc_requests',
      help: 'RPCs that are over, failed ones included.',
      type: 'counter',
      values: calls.map(([method, { count }]) => ({ value: count, labels: { method } })),
    },
    {
      name: 'envd_rpc_errors',
      help: 'RPCs that failed, by the code of the error.',
      type: 'counter',
      values: calls.flatMap(([method, { errors }]) =>
        [...errors].map(([code, value]) => ({ value, labels: { method, code } })),
      ),
    },
    {
      name: 'envd_rpc_duration_seconds',
      help: 'How long RPCs took; a stream lasts until its end.',
      type: 'histogram',
      values: calls.flatMap(([method, counts]) => histogram(method, counts)),
    },
  ]
}

function histogram(method: string, { count, seconds, within }: MethodCalls): Value[] {
  const name = 'envd_rpc_duration_seconds'
  const bucket = (le: number | string, value: number) => ({
    metricName: `${name}_bucket`,
    value,
    labels: { method, le: String(le) },
  })
  return [
    ...LATENCY_BOUNDS.map((bound, at) => bucket(bound, within[at] ?? 0)),
    bucket('+Inf', count),
    { metricName: `${name}_sum`, value: seconds, labels: { method } },
    { metricName: `${name}_count`, value: count, labels: { method } },
  ]
}
