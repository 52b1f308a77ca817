import type { Log, LogFields } from '../../src/log.ts'

/** A log that remembers its lines. */
export interface Logged {
  readonly log: Log
  readonly lines: { readonly level: string; readonly fields: LogFields }[]
}

export function recordLog(): Logged {
  const lines: { level: string; fields: LogFields }[] = []
  const at = (level: string) => (fields: LogFields) => {
    lines.push({ level, fields })
  }
  const log: Log = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    named: () => log,
  }
  return { log, lines }
}
