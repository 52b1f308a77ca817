import { throttle } from '../lib/throttle.ts'
import { WakeUp } from '../lib/wake-up.ts'
import { LOG_LEVELS, type LogLevel, type LogLine } from '../log.ts'

/** A line that is kept. */
interface RecentLine {
  readonly line: LogLine
  readonly level: LogLevel
}

/** Bytes of text of all lines: some 2,000. What is kept are the fields of their messages, which take twice as much. */
const MAX_BYTES = 512 * 1024
/** Longer ones are dropped: one line must not push out all others. */
const MAX_LINE_BYTES = 64 * 1024
/** The space of dropped lines is given back once it is this many entries and half of the list. */
const MIN_COMPACTION = 1024
/** Milliseconds in which those who wait are woken once: there may be thousands, and every call writes lines. */
const WAKE_MS = 50

/** What is known of the lines of a level and all higher ones. */
interface AtLeast {
  /** Number of the newest line, and of the newest that gave way; -1: there was none. */
  newest: number
  lost: number
  readonly added: WakeUp
  readonly wakeSoon: () => void
}

function atLeast(): AtLeast {
  const added = new WakeUp()
  return { newest: -1, lost: -1, added, wakeSoon: throttle(() => added.wake(), WAKE_MS) }
}

/** The newest lines of the log in memory, numbered from 0 over the life of the process. The oldest give way. */
export class RecentLines {
  #lines: (RecentLine | undefined)[] = []
  /** Index of the oldest in `#lines`, and its number. */
  #first = 0
  #start = 0
  #bytes = 0
  readonly #atLeast: Readonly<Record<LogLevel, AtLeast>> = {
    debug: atLeast(),
    info: atLeast(),
    warn: atLeast(),
    error: atLeast(),
  }

  /** Number of the oldest line that is kept; `end` if there is none. */
  get start(): number {
    return this.#start
  }

  /** The number that the next line will have. */
  get end(): number {
    return this.#start + this.#lines.length - this.#first
  }

  /** Adds a line; a log sink. */
  push(line: LogLine, level: LogLevel): void {
    if (line.size > MAX_LINE_BYTES) return
    const known = this.#upTo(level)
    for (const one of known) one.newest = this.end
    this.#lines.push({ line, level })
    this.#bytes += line.size
    while (this.#bytes > MAX_BYTES) this.#drop()
    for (const { added, wakeSoon } of known) if (added.awaited) wakeSoon()
  }

  /** The line of that number; undefined if it is not kept. */
  at(number: number): RecentLine | undefined {
    return number < this.#start ? undefined : this.#lines[this.#first + number - this.#start]
  }

  /** Whether a line of that level or a higher one, and of that number or a later one, is not kept any more. */
  hasLost(number: number, level: LogLevel): boolean {
    return this.#atLeast[level].lost >= number
  }

  /**
   * Resolves with true when there is a line of that level or a higher one, and of that number or a later one, soon
   * after it came; with false after `milliseconds`. Rejects with the reason of the signal.
   */
  async hasLine(number: number, level: LogLevel, milliseconds: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted()
    const due = performance.now() + milliseconds
    const known = this.#atLeast[level]
    while (number > known.newest) if (!(await known.added.wait(due - performance.now(), signal))) return false
    return true
  }

  /** What is known of the lines of this level and of each lower one. */
  #upTo(level: LogLevel): readonly AtLeast[] {
    return LOG_LEVELS.slice(0, LOG_LEVELS.indexOf(level) + 1).map((one) => this.#atLeast[one])
  }

  #drop(): void {
    const oldest = this.#lines[this.#first]
    this.#bytes -= oldest?.line.size ?? 0
    if (oldest !== undefined) for (const known of this.#upTo(oldest.level)) known.lost = this.#start
    this.#lines[this.#first] = undefined
    this.#first++
    this.#start++
    if (this.#first < MIN_COMPACTION || this.#first * 2 < this.#lines.length) return
    this.#lines = this.#lines.slice(this.#first)
    this.#first = 0
  }
}
