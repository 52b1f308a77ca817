import { pino } from 'pino'

/** Names, numbers and lengths only: never a payload, an environment value, a token, a signature or input bytes. */
export type LogFields = Record<string, string | number | boolean | undefined>

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
export type LogLevel = (typeof LEVELS)[number]

const LEVELS = ['debug', 'info', 'warn', 'error'] as const

/** Takes finished lines: JSON objects, each with its line feed. `write` must not block or throw. */
export interface LogSink {
  /** The lowest level it wants. */
  readonly level: LogLevel
  write(line: string): void
}

/**
 * JSON lines with `level`, `timestamp` (RFC 3339, by the clock that `/init` sets), `logger`, the fields, `message` (contract
 * G30). A line that no sink wants is not made.
 */
export function createLog(sinks: readonly [LogSink, ...LogSink[]]): Log {
  const streams = sinks.map(({ level, write }) => ({ level, stream: { write } }))
  const destination = pino.multistream(streams)
  const root = pino(
    {
      level: LEVELS.find((level) => sinks.some((sink) => sink.level === level)) ?? 'error',
      base: null,
      messageKey: 'message',
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    destination,
  )
  const wrap = (logger: ReturnType<typeof root.child>): Log => ({
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    named: (name) => wrap(root.child({ logger: name })),
  })
  return wrap(root.child({ logger: 'envd' }))
}
