import { createLog, type Log } from '../log.ts'
import { createExporter, type LogTarget } from './exporter.ts'
import { createOutput } from './output.ts'
import { RecentLines } from './recent-lines.ts'

/** The daemon's log and where it goes. */
export interface Logs {
  readonly log: Log
  /** The newest lines, of all levels. */
  readonly recent: RecentLines
  /** Sets where lines are exported to (`LogExporter`); without an exporter nothing happens. */
  configure(target: LogTarget): void
  /** Writes a line, given without its line feed, on standard output as it is. */
  print(text: string): void
  /** The same on standard error, for readers of the service manager's journal. */
  writeStderr(text: string): void
  /** `LogExporter.resumed`; without an exporter nothing happens. */
  resumed(): void
  /** `LogExporter.drain`; without an exporter nothing happens. */
  drain(graceMs: number): Promise<void>
  /** Waits half a second at most for lines that are on their way. */
  close(): Promise<void>
}

interface LogsOptions {
  /** All lines on standard output, not only warnings and errors. */
  readonly verbose: boolean
  /** Every line is kept for the platform's collector until `configure` names it. */
  readonly exported: boolean
}

const CLOSE_GRACE_MS = 500
const STDOUT = 1
const STDERR = 2

/** Makes the log of this process, once. */
export function createLogs({ verbose, exported }: LogsOptions): Logs {
  const stdout = createOutput(STDOUT)
  const stderr = createOutput(STDERR)
  const writeStderr = (text: string) => stderr.write(`${text}\n`)
  const exporter = exported ? createExporter({ writeStderr }) : undefined
  const recent = new RecentLines()
  const log = createLog([
    { level: 'debug', write: (line, level) => recent.push(line, level) },
    { level: verbose ? 'debug' : 'warn', write: (line) => stdout.write(line.text()) },
    ...(exporter ? [{ level: 'debug' as const, write: exporter.write }] : []),
  ])
  return {
    ...{ log, recent },
    configure: (target) => exporter?.configure(target),
    print: (text) => stdout.write(`${text}\n`),
    writeStderr,
    resumed: () => exporter?.resumed(),
    drain: async (graceMs) => exporter?.drain(graceMs),
    async close() {
      await Promise.all([exporter?.close(CLOSE_GRACE_MS), stdout.flush(CLOSE_GRACE_MS), stderr.flush(CLOSE_GRACE_MS)])
    },
  }
}
