import { Level } from '../../gen/logs/v1/logs_pb.js'

/** A line of the daemon's log. */
export interface LogEntry {
  readonly level: Level
  /** Milliseconds since 1970. */
  readonly time: number
  readonly logger: string
  readonly message: string
  /** The other fields, `name=value`, in their order. */
  readonly fields: string
}

/** Levels by their names, from the lowest. */
export const LEVELS: readonly { readonly level: Level; readonly name: string }[] = [
  { level: Level.DEBUG, name: 'debug' },
  { level: Level.INFO, name: 'info' },
  { level: Level.WARN, name: 'warn' },
  { level: Level.ERROR, name: 'error' },
]

/** The name of a level. */
export function levelName(level: Level): string {
  return LEVELS.find((one) => one.level === level)?.name ?? 'note'
}

/** Reads a line as the daemon writes it. */
export function parseLine(level: Level, json: string): LogEntry {
  const { level: _, timestamp, logger, message, ...fields } = objectOf(json)
  const text = Object.entries(fields).map(([name, value]) => `${name}=${valueText(value)}`)
  return {
    level,
    time: Date.parse(String(timestamp ?? '')) || 0,
    logger: String(logger ?? ''),
    message: String(message ?? ''),
    fields: text.join(' '),
  }
}

/** A line of the page's own. */
export function noteOf(message: string): LogEntry {
  return { level: Level.UNSPECIFIED, time: Date.now(), logger: 'console', message, fields: '' }
}

function objectOf(json: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(json)
  return typeof value === 'object' && value !== null ? { ...value } : {}
}

function valueText(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  return /[\s"=]/.test(text) || text === '' ? JSON.stringify(text) : text
}

/** Which lines are shown. */
export interface LogFilter {
  /** The lowest. */
  readonly level: Level
  /** Of one logger; empty: of all. */
  readonly logger: string
  /** In logger, message or fields; empty: any. */
  readonly text: string
}

/** What the daemon keeps is less; what comes while the page is open is added. */
const MAX_ENTRIES = 10_000

/** The newest entries. */
export class LogEntries {
  #entries: LogEntry[] = []

  get all(): readonly LogEntry[] {
    return this.#entries
  }

  /** The names of all loggers that there are entries of, in order. */
  get loggers(): string[] {
    return [...new Set(this.#entries.map(({ logger }) => logger))].sort()
  }

  add(entry: LogEntry): void {
    this.#entries.push(entry)
    // Rarely, as it copies all.
    if (this.#entries.length > MAX_ENTRIES * 1.1) this.#entries = this.#entries.slice(-MAX_ENTRIES)
  }

  /** Those that the filter lets pass; notes of the page always do. */
  matching({ level, logger, text }: LogFilter): LogEntry[] {
    const wanted = text.toLowerCase()
    return this.#entries.filter(
      (entry) =>
        entry.level === Level.UNSPECIFIED ||
        (entry.level >= level && (logger === '' || entry.logger === logger) && contains(entry, wanted)),
    )
  }
}

function contains({ logger, message, fields }: LogEntry, wanted: string): boolean {
  return wanted === '' || `${logger} ${message} ${fields}`.toLowerCase().includes(wanted)
}
