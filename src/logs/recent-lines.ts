import { WakeUp } from '../lib/wake-up.ts'
import type { LogLevel, LogLine } from '../log.ts'

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

/** The newest lines of the log in memory, numbered from 0 over the life of the process. The oldest give way. */
export class RecentLines {
  #lines: (RecentLine | undefined)[] = []
  /** Index of the oldest in `#lines`, and its number. */
  #first = 0
  #start = 0
  #bytes = 0
  readonly #added = new WakeUp()

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
    this.#lines.push({ line, level })
    this.#bytes += line.size
    while (this.#bytes > MAX_BYTES) this.#drop()
    this.#added.wake()
  }

  /** The line of that number; undefined if it is not kept. */
  at(number: number): RecentLine | undefined {
    return number < this.#start ? undefined : this.#lines[this.#first + number - this.#start]
  }

  /**
   * Resolves with true as soon as there is a line of that number or a later one, with false after `milliseconds`.
   * Rejects with the reason of the signal.
   */
  async hasLine(number: number, milliseconds: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted()
    const due = performance.now() + milliseconds
    while (number >= this.end) if (!(await this.#added.wait(due - performance.now(), signal))) return false
    return true
  }

  #drop(): void {
    this.#bytes -= this.#lines[this.#first]?.line.size ?? 0
    this.#lines[this.#first] = undefined
    this.#first++
    this.#start++
    if (this.#first < MIN_COMPACTION || this.#first * 2 < this.#lines.length) return
    this.#lines = this.#lines.slice(this.#first)
    this.#first = 0
  }
}
