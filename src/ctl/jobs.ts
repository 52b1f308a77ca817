import type { Option } from './command.ts'
import { exitCodeOf } from './exit-code.ts'
import type { OffsetsJson } from './process-stream.ts'
import { repeated } from './reopened.ts'
import type { Sandbox } from './sandbox.ts'
import { sizeText } from './table.ts'

/** Which job is meant (`jobs.v1.JobSelector`). */
type JobSelector = { readonly pid: number } | { readonly tag: string } | { readonly key: string }

/** What is shown of a job as JSON (`jobs.v1.Job`); what has its zero value is left out. */
export interface Job {
  readonly pid: number
  readonly tag?: string
  readonly cmd?: string
  readonly args?: readonly string[]
  readonly argsLeftOut?: number
  readonly user?: string
  readonly state?: string
  readonly started?: string
  readonly ended?: string
  readonly exitCode?: number
  readonly status?: string
  readonly signal?: string
  readonly cause?: string
  readonly produced?: OffsetsJson
  readonly cpuSeconds?: number
  readonly memoryBytes?: string
  readonly peakMemoryBytes?: string
  readonly inputBytes?: string
  readonly outputBytes?: string
}

/** The option by which the word of a command line is an `Idempotency-Key`. */
export const BY_KEY: Readonly<Record<string, Option>> = {
  key: { type: 'boolean', short: 'k', help: 'the word is an Idempotency-Key, as of run --key' },
}

/** The job that the first word means: digits are a pid, everything else a tag, or with `BY_KEY` a key. */
export function jobOf(word = '', byKey = false): JobSelector {
  if (byKey) return { key: word }
  return /^\d{1,9}$/.test(word) ? { pid: Number(word) } : { tag: word }
}

/** The pid of a job, so that a newer one of its tag does not take its place. Throws Failure. */
export async function pidOf(sandbox: Sandbox, job: JobSelector): Promise<number> {
  return (await repeated(() => sandbox.call<{ job: Job }>('jobs.v1.Jobs/Get', { job }))).job.pid
}

/** The jobs that match, newest first. Throws Failure. */
export async function listJobs(sandbox: Sandbox, filter: { readonly state?: string }): Promise<readonly Job[]> {
  return (await sandbox.call<{ jobs?: Job[] }>('jobs.v1.Jobs/List', { filter })).jobs ?? []
}

/** What ended a job, where its status does not say it. */
const CAUSES: Readonly<Record<string, string>> = {
  CAUSE_OUT_OF_MEMORY: 'out of memory',
  CAUSE_LIMIT: 'its memory limit',
  CAUSE_DEADLINE: 'deadline',
  CAUSE_DAEMON_STOPPED: 'daemon stopped',
}

/** A job's state in words, with the cause of its end. */
export function stateText({ state, status = '', cause = '' }: Job): string {
  if (state === 'STATE_RUNNING') return 'running'
  const known = CAUSES[cause]
  return known === undefined ? status : `${status} (${known})`
}

/** The exit code that passes the end of a job on. */
export function jobExitCode({ exitCode = 0, signal, status = '' }: Job): number {
  return exitCodeOf({ exited: signal === undefined, exitCode, status, error: undefined })
}

const FIGURES = ['CPU', 'MEMORY', 'PEAK', 'IN', 'OUT'] as const
export const JOB_HEAD = ['PID', 'TAG', 'USER', 'AGE', ...FIGURES, 'STATE', 'COMMAND'] as const

/** The columns of `JOB_HEAD`. Age is that of the start, memory what it has now, and peak the most that it had. */
export function jobRow(job: Job): string[] {
  const { pid, tag = '', user = '', started, cpuSeconds, cmd = '', args = [], argsLeftOut = 0 } = job
  const command = [cmd, ...args, ...(argsLeftOut > 0 ? ['…'] : [])].join(' ')
  const cpu = cpuSeconds === undefined ? '' : `${cpuSeconds.toFixed(1)} s`
  const size = (bytes: string | undefined) => (bytes === undefined ? '' : sizeText(Number(bytes)))
  const memory = [size(job.memoryBytes), size(job.peakMemoryBytes)]
  const traffic = [size(job.inputBytes ?? '0'), size(job.outputBytes ?? '0')]
  return [String(pid), tag, user, ageText(started), cpu, ...memory, ...traffic, stateText(job), command]
}

/** Seconds in the units in which an age is shown, the largest first. */
const UNITS = [
  ['d', 86_400],
  ['h', 3_600],
  ['m', 60],
] as const

/** How long ago that was, in the largest unit that fits twice: `90s`, `12m`. */
function ageText(time: string | undefined): string {
  if (time === undefined) return ''
  const seconds = Math.max(0, Math.round((Date.now() - Date.parse(time)) / 1000))
  const [unit, size] = UNITS.find(([, each]) => seconds >= 2 * each) ?? ['s', 1]
  return `${Math.floor(seconds / size)}${unit}`
}
