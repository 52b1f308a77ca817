import type { Log } from '../log.ts'
import { COMMIT, VERSION } from '../version.ts'
import type { Taken } from './keeper.ts'

/** The status of waitpid(2) in the fields of a log line: an exit code, or the signal that ended it. */
function statusFields(status: number): { exit_code: number } | { signal: number } {
  const signal = status & 0x7f
  return signal === 0 ? { exit_code: (status >> 8) & 0xff } : { signal }
}

/** One line for a daemon that takes the place of another. */
export function logRestart({ starts, failures, lastStatus, trial, wentBack }: Taken, log: Log): void {
  if (starts === 1) return
  if (trial) log.warn({ starts, version: VERSION, commit: COMMIT }, 'upgraded: this daemon has taken over')
  else if (wentBack) log.error({ starts, ...statusFields(lastStatus) }, 'not upgraded: the other daemon did not serve')
  else log.warn({ starts, failures, ...statusFields(lastStatus) }, 'started again after an unexpected end')
}
