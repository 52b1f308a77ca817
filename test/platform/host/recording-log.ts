import type { Log } from '../../../src/log.ts'

/** One log line, with its fields. */
export interface Line {
  readonly level: string
  readonly message: string
  readonly [field: string]: unknown
}

/** A log that keeps its lines. */
export function recordingLog(): { readonly log: Log; readonly lines: Line[] } {
  const lines: Line[] = []
  const at =
    (level: string): Log['info'] =>
    (fields, message) =>
      void lines.push({ ...fields, level, message })
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), named: () => log }
  return { log, lines }
}
