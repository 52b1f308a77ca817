import { pino } from 'pino'

/** Names, numbers and lengths only: never a payload, an environment value, a token, a signature or input bytes. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

/** A structured logger with a name; made once, by `serve.ts`, and handed down. Calls never block and never throw. */
export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  /** The same sinks under another logger name. */
  named(name: string): Log
}

/** From all lines to failures only. */
export type LogLevel = (typeof LOG_LEVELS)[number]

/** The levels, the lowest first. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const

/** A line that is made when it is taken: most lines for a collector that is slow, or not there, never are. */
export interface LogLine {
  /** About as many bytes as it holds until then, and as its text will have. */
  readonly size: number
  /** A JSON object with its line feed. */
  text(): string
}

/** Takes lines. `write` must not block or throw. */
interface LogSink {
  /** The lowest level it wants. */
  readonly level: LogLevel
  write(line: LogLine, level: LogLevel): void
}

/** Bytes of a line without fields, and of each field without a text. */
const BASE_SIZE = 120
const FIELD_SIZE = 16

/**
 * Makes a log of JSON lines with `level`, `timestamp` (RFC 3339, by the clock that `/init` sets), `logger`, the fields
 * and `message` (contract G30). Fields are kept until their line is made, and must not change.
 */
export function createLog(sinks: readonly LogSink[]): Log {
  const { format, root } = createFormat()
  const wanting = (level: LogLevel) =>
    sinks.filter((sink) => LOG_LEVELS.indexOf(sink.level) <= LOG_LEVELS.indexOf(level))
  const bySeverity = { debug: wanting('debug'), info: wanting('info'), warn: wanting('warn'), error: wanting('error') }
  const named = (name: string): Log => {
    const logger = root.child({ logger: name })
    const at = (level: LogLevel) => (fields: LogFields, message: string) => {
      const takers = bySeverity[level]
      if (takers.length === 0) return
      const time = Date.now()
      const line = { size: sizeOf(fields), text: () => format({ time, write: () => logger[level](fields, message) }) }
      for (const taker of takers) taker.write(line, level)
    }
    return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error'), named }
  }
  return named('envd')
}

/** A pino logger that writes into a variable, and what it has written. */
function createFormat() {
  let time = 0
  let text = ''
  const destination = {
    write(line: string) {
      text = line
    },
  }
  const root = pino(
    {
      level: 'debug',
      base: null,
      messageKey: 'message',
      timestamp: () => `,"timestamp":"${new Date(time).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
  const format = (line: { readonly time: number; write(): void }) => {
    time = line.time
    line.write()
    return text
  }
  return { format, root }
}

function sizeOf(fields: LogFields): number {
  let size = BASE_SIZE
  for (const name in fields) {
    const value = fields[name]
    size += FIELD_SIZE + (typeof value === 'string' ? value.length : 0)
  }
  return size
}
