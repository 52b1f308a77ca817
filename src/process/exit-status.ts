import type { ExitStatus } from '../native/index.ts'

/** What is known of an end: of a process that is no child of the daemon the kernel tells only that it is gone. */
export type KnownEnd = ExitStatus | 'unknown'

/** How a process ended, in the fields of the wire's EndEvent. */
export interface End {
  /** 0 to 255, or -1 for a process that a signal killed, or of which it is not known. */
  readonly exitCode: number
  readonly exited: boolean
  readonly status: string
  readonly error: string | undefined
  /** Of an adopted process: none of the above says how it ended. */
  readonly unknown?: true
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

/** The EndEvent of an exit status: "exit status 3", "signal: killed", "signal: aborted (core dumped)" (contract D38, D39). */
export function endOf(status: KnownEnd): End {
  if (status === 'unknown') return { exitCode: -1, exited: false, status: UNKNOWN, error: UNKNOWN, unknown: true }
  if ('exitCode' in status) {
    const text = `exit status ${status.exitCode}`
    return { exitCode: status.exitCode, exited: true, status: text, error: status.exitCode === 0 ? undefined : text }
  }
  const name = signalNames[status.signal] || `signal ${status.signal}`
  const text = `signal: ${name}${status.coreDumped ? ' (core dumped)' : ''}`
  return { exitCode: -1, exited: false, status: text, error: text }
}
