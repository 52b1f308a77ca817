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
   * sent again, once, when no answer comes within a moment. May be called as often as somebody asks.
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
  const { writeStderr, timeoutMs = TIMEOUT_MS, resumeMs = RESUME_MS } = options
  const backlog = createBacklog()
  const losses = createLossReport({ writeStderr })
  const rateLimit = createRateLimit()
  const underWay = createUnderWay(resumeMs)
  let hurry = new AbortController()
  /** Counts the drains: a line on its way during one is not sent again. */
  let drains = 0
  let destination: Destination | undefined
  let sending: Promise<void> | undefined
  let closed = false

  const sendAll = async () => {
    while (!backlog.isEmpty) {
      await rateLimit(hurry.signal)
      const line = destination === undefined || closed ? undefined : backlog.next()
      if (destination === undefined || line === undefined) return
      const { signal } = destination.replaced
      const drained = drains
      underWay.begin(line)
      const { problem, tooLong } = await attempt(destination, line.text(), timeoutMs)
      const isLost = underWay.end(problem) || signal.aborted
      if (problem !== undefined && isLost && !closed && drained === drains) {
        backlog.putBack(line)
        continue
      }
      const dropped = backlog.takeDropped() + (tooLong ? 1 : 0)
      losses.add({ failed: problem === undefined ? 0 : 1, dropped, problem })
    }
  }
  const start = () => {
    if (sending !== undefined || destination === undefined || closed || backlog.isEmpty) return
    sending = sendAll().finally(() => {
      sending = undefined
      start()
    })
  }
  const sentWithin = async (graceMs: number) => {
    hurry.abort()
    if (sending !== undefined) await withTimeout(graceMs, sending, NEVER)
  }
  return {
    write(line) {
      if (!closed) backlog.push(line)
      start()
    },
    configure(target) {
      if (destination !== undefined && isSame(destination.target, target)) return
      destination?.replaced.abort()
      const collector = parseCollector(target.address)
      if (collector === undefined && target.address !== '')
        losses.add({ failed: 0, dropped: 0, problem: 'the collector has no http address' })
      destination = collector && { target, collector, replaced: new AbortController() }
      start()
    },
    resumed() {
      underWay.resumed(() => {
        destination?.replaced.abort()
        destination &&= { ...destination, replaced: new AbortController() }
      })
    },
    async drain(graceMs) {
      if (graceMs > 0) await sentWithin(graceMs)
      hurry = new AbortController()
      drains += 1
      losses.add({ failed: 0, dropped: backlog.clear(), problem: undefined })
    },
    async close(graceMs) {
      await sentWithin(graceMs)
      closed = true
      destination?.replaced.abort()
    },
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
