import { type Job, State } from '../../gen/jobs/v1/jobs_pb.js'
import { msOf } from '../format.ts'

/** What a table of jobs can be ordered by. */
export type SortKey = 'pid' | 'command' | 'user' | 'started' | 'cpu' | 'memory' | 'peak' | 'state'

/** The order of a table. */
export interface Order {
  readonly key: SortKey
  readonly descending: boolean
}

/** Which jobs are shown. */
export interface JobFilter {
  readonly state: 'all' | 'running' | 'ended'
  /** In command line, tag, user, pid or end; empty: any. */
  readonly text: string
}

/** All jobs that are known, by `keyOf`. */
export type Jobs = ReadonlyMap<string, Job>

/** As many as the daemon keeps that have ended, and may run. */
const MAX_JOBS = 4_000

/** A pid is used again; with its start it is not. */
export function keyOf({ pid, started }: Job): string {
  return `${pid}@${started?.seconds ?? 0}.${started?.nanos ?? 0}`
}

/** Adds jobs, or what is newer of them: one that has ended does not run again. The oldest beyond 4,000 go. */
export function withJobs(jobs: Jobs, added: readonly Job[]): Jobs {
  const result = new Map(jobs)
  for (const job of added) {
    const known = result.get(keyOf(job))
    if (known?.state === State.ENDED && job.state === State.RUNNING) continue
    result.set(keyOf(job), job)
  }
  if (result.size <= MAX_JOBS) return result
  const newest = [...result].sort(([, a], [, b]) => msOf(b.started) - msOf(a.started))
  return new Map(newest.slice(0, MAX_JOBS))
}

/** The command line as text; arguments that were left out are counted. */
export function commandLine({ cmd, args, argsLeftOut }: Job): string {
  const words = [cmd, ...args].map((word) =>
    /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`,
  )
  return words.join(' ') + (argsLeftOut > 0 ? ` … and ${argsLeftOut} more` : '')
}

/** The jobs that the filter lets pass, in order; equals by start, newest first. */
export function rowsOf(jobs: Jobs, { state, text }: JobFilter, { key, descending }: Order): Job[] {
  const wanted = text.toLowerCase()
  const shown = [...jobs.values()].filter(
    (job) =>
      (state === 'all' || (job.state === State.RUNNING) === (state === 'running')) &&
      (wanted === '' || textOf(job).toLowerCase().includes(wanted)),
  )
  const sign = descending ? -1 : 1
  return shown.sort((a, b) => sign * compare(sortValue(a, key), sortValue(b, key)) || msOf(b.started) - msOf(a.started))
}

function textOf(job: Job): string {
  return [job.pid, job.tag ?? '', job.user, commandLine(job), job.status].join('\n')
}

function sortValue(job: Job, key: SortKey): number | string {
  const values: Record<SortKey, () => number | string> = {
    pid: () => job.pid,
    command: () => commandLine(job),
    user: () => job.user,
    started: () => msOf(job.started),
    cpu: () => job.cpuSeconds ?? -1,
    memory: () => Number(job.memoryBytes ?? -1),
    peak: () => Number(job.peakMemoryBytes ?? -1),
    state: () => (job.state === State.RUNNING ? -1 : msOf(job.ended)),
  }
  return values[key]()
}

function compare(a: number | string, b: number | string): number {
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b))
}
