import { createLineQueue } from '../lib/line-queue.ts'
import { NEVER } from '../lib/never.ts'
import { withTimeout } from '../lib/with-timeout.ts'
import type { LogLine } from '../log.ts'
import { createLossReport } from './loss-report.ts'
import { type Collector, parseCollector, postLine } from './post-line.ts'
import { createRateLimit } from './rate-limit.ts'
import { createUnderWay } from './under-way.ts'

/** Where lines go and what is added to them, in the words of the metadata service (contract G10). */
export interface LogTarget {
  readonly instanceID: string
  readonly envID: string
  /** `http://<ip>/logs`; empty: nowhere yet, lines wait. */
  readonly address: string
}

/** Sends log lines to the platform's collector, in order, each in a request of its own (contract G30, G31). */
interface LogExporter {
  /** Never blocks, never throws; the oldest lines give way to new ones. */
  write(line: LogLine): void
  /**
   * Sets where lines go from now on, also those that wait. Cheap, never throws, and may be called as often as the
   * metadata service is asked: the same target again changes nothing. A request to an earlier target is given up.
   */
  configure(target: LogTarget): void
  /**
   * The machine may have been paused, and the connection of the line that is on its way be gone without notice: it is
   * sent again, once, when no answer comes within a moment. May be called repeatedly.
   */
  resumed(): void
  /**
   * Sends what waits for at most so many milliseconds, and drops the rest. With 0 all of it is dropped. Never rejects.
   */
  drain(graceMs: number): Promise<void>
  /** Sends what waits for at most so many milliseconds; nothing is sent after that. */
  close(graceMs: number): Promise<void>
}

/** Options of `createExporter`. */
export interface ExporterOptions {
  /** Writes one report of lost lines, without line feed; called at most once a minute. Must not throw. */
  readonly writeStderr: (text: string) => void
  /** Milliseconds for one line; default 10,000 (contract G30). */
  readonly timeoutMs?: number
  /** Milliseconds after a resume in which the answer to a line that was on its way must come; default 500. */
  readonly resumeMs?: number
}

/** Contract G31. */
const MAX_QUEUE_BYTES = 8 * 1024 * 1024
/** Contract G31. */
const MAX_LINE_BYTES = 192 * 1024
const TIMEOUT_MS = 10_000
/** A collector answers within some milliseconds; one that is slower gets the line twice. */
const RESUME_MS = 500

/** A target in use. */
interface Destination {
  readonly target: LogTarget
  readonly collector: Collector
  /** Aborts when another target takes its place. */
  readonly replaced: AbortController
}

/** Makes an exporter that holds lines until `configure` names their target. */
export function createExporter(options: ExporterOptions): LogExporter {
  const exporter = new Exporter(options)
  return {
    write: (line) => exporter.write(line),
    configure: (target) => exporter.configure(target),
    resumed: () => exporter.resumed(),
    drain: (graceMs) => exporter.drain(graceMs),
    close: (graceMs) => exporter.close(graceMs),
  }
}

class Exporter implements LogExporter {
  readonly #timeoutMs: number
  readonly #backlog = createBacklog()
  readonly #losses: ReturnType<typeof createLossReport>
  readonly #rateLimit = createRateLimit()
  readonly #underWay: ReturnType<typeof createUnderWay>
  #hurry = new AbortController()
  /** Counts the drains: a line on its way during one is not sent again. */
  #drains = 0
  #destination: Destination | undefined
  #sending: Promise<void> | undefined
  #closed = false

  constructor({ writeStderr, timeoutMs = TIMEOUT_MS, resumeMs = RESUME_MS }: ExporterOptions) {
    this.#timeoutMs = timeoutMs
    this.#losses = createLossReport({ writeStderr })
    this.#underWay = createUnderWay(resumeMs)
  }

  write(line: LogLine): void {
    if (this.#closed) return
    this.#backlog.push(line)
    this.#start()
  }

  configure(target: LogTarget): void {
    if (this.#destination !== undefined && isSame(this.#destination.target, target)) return
    this.#destination?.replaced.abort()
    const collector = parseCollector(target.address)
    if (collector === undefined && target.address !== '')
      this.#losses.add({ failed: 0, dropped: 0, problem: 'the collector has no http address' })
    this.#destination = collector && { target, collector, replaced: new AbortController() }
    this.#start()
  }

  resumed(): void {
    this.#underWay.resumed(() => {
      this.#destination?.replaced.abort()
      this.#destination &&= { ...this.#destination, replaced: new AbortController() }
    })
  }

  async drain(graceMs: number): Promise<void> {
    if (graceMs > 0) await this.#sentWithin(graceMs)
    this.#hurry = new AbortController()
    this.#drains += 1
    this.#losses.add({ failed: 0, dropped: this.#backlog.clear(), problem: undefined })
  }

  async close(graceMs: number): Promise<void> {
    await this.#sentWithin(graceMs)
    this.#closed = true
    this.#destination?.replaced.abort()
  }

  #start(): void {
    const idle = this.#destination === undefined || this.#closed || this.#backlog.isEmpty
    if (this.#sending !== undefined || idle) return
    this.#sending = this.#sendAll().finally(() => {
      this.#sending = undefined
      this.#start()
    })
  }

  async #sendAll(): Promise<void> {
    while (!this.#backlog.isEmpty) {
      await this.#rateLimit(this.#hurry.signal)
      const line = this.#destination === undefined || this.#closed ? undefined : this.#backlog.next()
      if (this.#destination === undefined || line === undefined) return
      await this.#sendLine(line, this.#destination)
    }
  }

  async #sendLine(line: LogLine, destination: Destination): Promise<void> {
    const drained = this.#drains
    this.#underWay.begin(line)
    const { problem, tooLong } = await attempt(destination, line.text(), this.#timeoutMs)
    const isLost = this.#underWay.end(problem) || destination.replaced.signal.aborted
    if (problem !== undefined && isLost && !this.#closed && drained === this.#drains) {
      this.#backlog.putBack(line)
      return
    }
    const dropped = this.#backlog.takeDropped() + (tooLong ? 1 : 0)
    this.#losses.add({ failed: problem === undefined ? 0 : 1, dropped, problem })
  }

  async #sentWithin(graceMs: number): Promise<void> {
    this.#hurry.abort()
    if (this.#sending !== undefined) await withTimeout(graceMs, this.#sending, NEVER)
  }
}

/** Lines that wait, within bounds. */
function createBacklog() {
  const queue = createLineQueue<LogLine>({
    bytesOf: ({ size }) => size,
    maxBytes: MAX_QUEUE_BYTES,
    maxLineBytes: MAX_LINE_BYTES,
  })
  // Was on its way when another target took over, as at a resume.
  let again: LogLine | undefined
  const next = () => {
    const line = again ?? queue.shift()
    again = undefined
    return line
  }
  return {
    push: queue.push,
    next,
    putBack: (line: LogLine) => {
      again = line
    },
    get isEmpty() {
      return queue.size === 0 && again === undefined
    },
    takeDropped: queue.takeDropped,
    /** Returns how many there were. */
    clear: () => {
      let lines = 0
      while (next() !== undefined) lines += 1
      return lines
    },
  }
}

/** Undefined, or why the collector did not take the line. */
function send(
  { target, collector, replaced }: Destination,
  line: string,
  timeoutMs: number,
): Promise<string | undefined> {
  const ids = `"instanceID":${JSON.stringify(target.instanceID)},"envID":${JSON.stringify(target.envID)}`
  const body = `${line.trimEnd().slice(0, -1)},${ids}}`
  return postLine(collector, body, { signal: replaced.signal, timeoutMs })
}

/** One attempt to send a line. Never rejects. */
async function attempt(destination: Destination, line: string, timeoutMs: number) {
  const tooLong = Buffer.byteLength(line) > MAX_LINE_BYTES
  return { tooLong, problem: tooLong ? undefined : await send(destination, line, timeoutMs) }
}

function isSame(one: LogTarget, other: LogTarget): boolean {
  return one.instanceID === other.instanceID && one.envID === other.envID && one.address === other.address
}
