import type { Log } from '../log.ts'
import type { RunningProcess } from './process.ts'

interface EndLine {
  readonly log: Log
  /** Of the call that started it; undefined: the daemon itself did, or an earlier daemon. */
  readonly operationId?: string | undefined
  /** Milliseconds since the start. */
  readonly age: () => number
}

/** Logs the line `process_end` once the process has ended, on the level debug for a routine command. */
export function logEnd(process: RunningProcess, { log, operationId, age }: EndLine): void {
  void process.ended.then(({ status }) => {
    const bytes = (stream: 'stdout' | 'stderr' | 'pty') => process.output.offset(stream)
    log[process.routine ? 'debug' : 'info'](
      {
        ...{ pid: process.pid, operation_id: operationId, process_result: status, ms: Math.round(age()) },
        ...{ stdout_bytes: bytes('stdout'), stderr_bytes: bytes('stderr'), pty_bytes: bytes('pty') },
      },
      'process_end',
    )
  })
}
