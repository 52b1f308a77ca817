import { baseName } from '../lib/clean-path.ts'
import { copiedText } from '../lib/copied-text.ts'
import { countUnusable, LEFT_OUT } from '../lib/environment.ts'
import type { Log } from '../log.ts'
import type { LaunchRequest } from './launch.ts'
import type { RunningProcess } from './process.ts'

/** Bytes of the name of a file (NAME_MAX). */
const MAX_NAME_LENGTH = 255

interface StartLine {
  readonly log: Log
  /** Of the call that starts it; undefined: the daemon itself does. */
  readonly operationId: string | undefined
  /** Milliseconds that it may run; undefined: without an end. */
  readonly timeout: number | undefined
}

/** Logs the line `process_start`, on the level debug for a routine command, and one about variables that are left out. */
export function logStart({ pid, config, routine }: RunningProcess, request: LaunchRequest, line: StartLine): void {
  const { log, operationId, timeout } = line
  const operation = { pid, operation_id: operationId }
  const unusable = countUnusable(Object.entries(config.envs))
  if (unusable > 0) log.warn({ ...operation, count: unusable }, LEFT_OUT)
  log[routine ? 'debug' : 'info'](
    {
      ...operation,
      command: copiedText(baseName(config.cmd), MAX_NAME_LENGTH),
      args: config.args.length,
      request_timeout_ms: timeout,
      user: request.user.name,
      terminal: request.terminal !== undefined,
    },
    'process_start',
  )
}
