import { monotonicNow } from '../lib/monotonic-now.ts'
import type { ExitStatus } from '../native/index.ts'

/** What is known of an end: of a process that is no child of the daemon the kernel reports only that it is gone. */
export type KnownEnd = ExitStatus | 'unknown'

/**
 * What brought a process to its end: its own exit, a signal, the kernel for lack of memory (of the machine or a cgroup
 * above; `limit`: its own limit), the deadline of its start, or the end of the daemon.
 */
type EndCause = 'exit' | 'signal' | 'out_of_memory' | 'limit' | 'deadline' | 'daemon_stopped' | 'unknown'

/** A limit of the command's own that it has met: its memory was spent, or forks were refused. */
export type LimitHit = 'memory' | 'pids'

/**
 * What a command has taken, with all that it started if it had a cgroup of its own, else with all that it waited for.
 */
export interface Usage {
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly endedAt: number
  /** The end on a clock that is never set (`monotonicNow`); absent: an older daemon has written this. */
  readonly endedMonotonic?: number | undefined
  /** User and system time; undefined: it is not known. */
  readonly cpuSeconds: number | undefined
  /**
   * Peak memory in bytes; without a cgroup of its own, that of its largest process. Undefined: not known, or less than
   * the daemon's own.
   */
  readonly peakMemory: number | undefined
  /** Bytes of input that were written to it. */
  readonly bytesIn: number
  /** Bytes that it wrote, including those that the output limit left out. */
  readonly bytesOut: number
}

/** Why a process ended, and what it has taken. */
export interface EndFacts {
  readonly cause: EndCause
  /** The kernel has killed it, or the command of a shell, for lack of memory. */
  readonly outOfMemory: boolean
  readonly limitsHit: readonly LimitHit[]
  readonly usage: Usage
}

/** How a process ended, in the fields of the wire's EndEvent, and why. */
export interface End extends EndFacts {
  /** 0 to 255, or -1 for a process that a signal killed, or of which it is not known. */
  readonly exitCode: number
  readonly exited: boolean
  readonly status: string
  readonly error: string | undefined
  /** Of an adopted process: none of the above says how it ended. */
  readonly unknown?: true
}

/** Of a process that ends now. */
export function timeOfEnd(): Pick<Usage, 'endedAt' | 'endedMonotonic'> {
  return { endedAt: Date.now(), endedMonotonic: monotonicNow() }
}

/**
 * Milliseconds for which an end is still kept, from 0 to `keepMs`. Neither a restart of the daemon nor a clock that is
 * set changes them; an end without `endedMonotonic` is as old as the wall clock says.
 */
export function leftOf(keepMs: number, { usage: { endedAt, endedMonotonic } }: Pick<End, 'usage'>): number {
  const age = endedMonotonic === undefined ? Date.now() - endedAt : monotonicNow() - endedMonotonic
  return keepMs - Math.min(keepMs, Math.max(0, age))
}

/** Linux signal names as clients know them (contract D39), by number. */
const signalNames: readonly string[] = [
  '',
  'hangup',
  'interrupt',
  'quit',
  'illegal instruction',
  'trace/breakpoint trap',
  'aborted',
  'bus error',
  'floating point exception',
  'killed',
  'user defined signal 1',
  'segmentation fault',
  'user defined signal 2',
  'broken pipe',
  'alarm clock',
  'terminated',
  'stack fault',
  'child exited',
  'continued',
  'stopped (signal)',
  'stopped',
  'stopped (tty input)',
  'stopped (tty output)',
  'urgent I/O condition',
  'CPU time limit exceeded',
  'file size limit exceeded',
  'virtual timer expired',
  'profiling timer expired',
  'window changed',
  'I/O possible',
  'power failure',
  'bad system call',
]

/** For an end of which nothing is known. */
const UNKNOWN = 'exit status unknown'

/**
 * The EndEvent of an exit status: "exit status 3", "signal: killed", "signal: aborted (core dumped)" (contract D38,
 * D39). Only the error text also names what ran out: "signal: killed (out of memory)", "exit status 2 (process limit
 * reached)".
 */
export function endOf(status: KnownEnd, facts: EndFacts): End {
  const { error, ...texts } = textsOf(status)
  return { ...texts, error: error === undefined ? undefined : error + shortage(facts), ...facts }
}

function shortage({ outOfMemory, limitsHit }: EndFacts): string {
  if (outOfMemory) return ' (out of memory)'
  return limitsHit.includes('pids') ? ' (process limit reached)' : ''
}

function textsOf(status: KnownEnd): Omit<End, keyof EndFacts> {
  if (status === 'unknown') return { exitCode: -1, exited: false, status: UNKNOWN, error: UNKNOWN, unknown: true }
  if ('exitCode' in status) {
    const text = `exit status ${status.exitCode}`
    return { exitCode: status.exitCode, exited: true, status: text, error: status.exitCode === 0 ? undefined : text }
  }
  const name = signalNames[status.signal] || `signal ${status.signal}`
  const text = `signal: ${name}${status.coreDumped ? ' (core dumped)' : ''}`
  return { exitCode: -1, exited: false, status: text, error: text }
}

/** The number that waitpid(2) returns for a process that has ended so. */
export function waitStatusOf(status: ExitStatus): number {
  if ('exitCode' in status) return (status.exitCode & 0xff) << 8
  return status.signal | (status.coreDumped ? 0x80 : 0)
}

/** The exit status in the number that waitpid(2) returns for a process that has ended. */
export function exitStatusOf(status: number): ExitStatus {
  const signal = status & 0x7f
  return signal === 0 ? { exitCode: (status >> 8) & 0xff } : { signal, coreDumped: (status & 0x80) !== 0 }
}
