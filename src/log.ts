import { pino } from 'pino'

/** Names, numbers and lengths only: never a payload, an environment value, a token, a signature or input bytes. */
export type LogFields = Record<string, string | number | boolean | undefined>

/** A structured logger with a name; made once in `daemon.ts` and handed down. Calls never block and never throw. */
export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  /** The same sink under another logger name. */
  named(name: string): Log
}

/**
 * Bytes of log lines held while standard output does not take them; past it the newest lines are dropped.
 * 8 MiB is what the log exporter holds as well.
 */
const MAX_BUFFERED_BYTES = 8 * 1024 * 1024

/**
 * JSON lines on standard output, written asynchronously: a full pipe or a frozen disk never stops the daemon.
 * Quiet (warnings and errors only) unless `verbose`.
 */
export function createLog(verbose: boolean): Log {
  const destination = pino.destination({ dest: 1, sync: false, maxLength: MAX_BUFFERED_BYTES })
  destination.on('error', () => {})
  const root = pino(
    {
      level: verbose ? 'debug' : 'warn',
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
