import { constants } from 'node:os'
import { ignoreSignal } from '../native/index.ts'

/**
 * Signals that end a process which expects none of them, and that anything running as root may send by mistake: a
 * terminal that hangs up, timers, limits, a log rotation.
 */
const NAMES = [
  'SIGHUP',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGPIPE',
  'SIGALRM',
  'SIGSTKFLT',
  'SIGXCPU',
  'SIGXFSZ',
  'SIGVTALRM',
  'SIGPROF',
  'SIGIO',
  'SIGPWR',
] as const

/**
 * glibc keeps 32 for pthread_cancel(3), which is not used here; 33 has a handler of glibc's own, which setuid(2) needs.
 */
const RESERVED = 32
const FIRST_REAL_TIME = 34
const LAST_REAL_TIME = 64

/**
 * Ignores them in this process, the real-time signals included, for which Node has no names. What reports a fault of
 * the program itself (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS) keeps ending it, and what stops it for
 * job control keeps stopping it.
 */
export function ignoreSignals(): void {
  for (const name of NAMES) ignoreSignal(constants.signals[name])
  ignoreSignal(RESERVED)
  for (let number = FIRST_REAL_TIME; number <= LAST_REAL_TIME; number++) ignoreSignal(number)
}
