import { AppError, CLOSED } from '../errors.ts'
import { LateAbort } from '../lib/late-abort.ts'
import { loopTurns } from '../lib/turns.ts'
import type { Chunk, Offsets, OutputLog } from './output-log.ts'

interface ReaderStart {
  readonly seq: number
  readonly position: number
  readonly begins: Offsets
  /** See `OutputLogOptions`. */
  readonly stall: number
}

/**
 * A cursor on an OutputLog. One owner takes chunks one after the other; a reader that is too slow fails with
 * `resource_exhausted` and the number of bytes that it missed, and delays no other reader from then on.
 */
export class OutputReader {
  readonly #log: OutputLog
  readonly #over = new LateAbort()
  readonly #stall: number
  /** Number of the next chunk. */
  seq: number
  /** Bytes of all streams before the next chunk. */
  position: number
  /** Where in each stream its output begins. */
  readonly begins: Offsets
  #wake: (() => void) | undefined
  /** Whether its wake-up is scheduled already. */
  #notified = false
  #timer: NodeJS.Timeout | undefined
  #letGo: (() => void) | undefined

  /** Made by `OutputLog.reader` only. */
  constructor(log: OutputLog, start: ReaderStart) {
    this.#log = log
    this.seq = start.seq
    this.position = start.position
    this.begins = start.begins
    this.#stall = start.stall
  }

  /** Aborts when the reader is closed, or ended for being too slow (then with the AppError as its reason). */
  get signal(): AbortSignal {
    return this.#over.signal
  }

  /**
   * Hands the next chunk to `use`, which copies what it needs: the chunk's memory may be written again once it returns.
   * Undefined when there is none at the moment. Throws what ended the reader.
   */
  take<T>(use: (chunk: Chunk) => T): T | undefined {
    for (;;) {
      this.#throwIfOver()
      const chunk = this.#log.at(this.seq)
      if (chunk === undefined) return undefined
      if (chunk === 'gone') {
        this.#end(this.#missed('it fell too far behind'))
        continue
      }
      this.seq++
      this.position += chunk.bytes.length
      chunk.pending--
      const wanted = this.#wanted(chunk)
      const used = wanted === undefined ? undefined : use(wanted)
      this.#watch()
      this.#log.advanced(this)
      if (wanted !== undefined) return used
    }
  }

  /** What of a chunk lies behind where this reader begins; undefined: nothing. */
  #wanted(chunk: Chunk): Chunk | undefined {
    const before = this.begins[chunk.stream] - chunk.offset
    if (before <= 0) return chunk
    if (before >= chunk.bytes.length) return undefined
    // Frames of a part of a chunk are not shared with other readers.
    const [bytes, offset] = [chunk.bytes.subarray(before), chunk.offset + before]
    return { ...chunk, bytes, offset, pending: 0, frames: undefined }
  }

  /**
   * Waits until there is something to take ('output'), all was taken and no more will come ('end'), or nothing happened
   * for `quiet` milliseconds ('quiet'). Throws what ended the reader.
   */
  async readable(quiet: number): Promise<'output' | 'end' | 'quiet'> {
    while (this.#log.at(this.seq) === undefined) {
      this.#throwIfOver()
      if (this.#log.closed) return 'end'
      if (!(await this.#woken(quiet))) return 'quiet'
    }
    return 'output'
  }

  /** For the log: there is something new. */
  notify(): void {
    if (this.#wake === undefined) {
      if (this.#timer === undefined) this.#watch()
    } else if (!this.#notified) {
      this.#notified = true
      // The readers of a log share its part of each turn of the event loop.
      const turn = loopTurns.turn(this.#log)
      if (turn === undefined) this.#wakeUp()
      else void turn.then(() => this.#wakeUp())
    }
  }

  #wakeUp(): void {
    this.#notified = false
    this.#wake?.()
  }

  /** The owner goes, or `reason` ends the reader: `readable` and `take` throw it from now on. Idempotent. */
  close(reason: unknown = CLOSED): void {
    this.#end(reason)
  }

  /** Closes it when `signal` aborts, with its reason. To be called once. */
  closeWith(signal: AbortSignal): void {
    const close = () => this.close(signal.reason)
    signal.addEventListener('abort', close, { once: true })
    this.#letGo = () => signal.removeEventListener('abort', close)
    if (signal.aborted) close()
  }

  #throwIfOver(): void {
    if (this.#over.aborted) throw this.#over.reason
  }

  /** True when the log or the end of the reader woke it, false after `quiet` milliseconds. */
  #woken(quiet: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (woken: boolean) => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve(woken)
      }
      const timer = setTimeout(() => settle(false), quiet)
      timer.unref()
      this.#wake = () => settle(true)
    })
  }

  /** (Re)starts the timer that runs while output waits for this reader. */
  #watch(): void {
    if (this.#log.at(this.seq) === undefined) {
      clearTimeout(this.#timer)
      this.#timer = undefined
    } else if (this.#timer === undefined) {
      this.#timer = setTimeout(() => this.#end(this.#missed('it took no output for too long')), this.#stall)
      this.#timer.unref()
    } else this.#timer.refresh()
  }

  #missed(why: string): AppError {
    const bytes = this.#log.bytes - this.position
    return new AppError(
      'resource_exhausted',
      `the stream was ended because ${why}: ${bytes} bytes of output were missed`,
    )
  }

  #end(reason: unknown): void {
    if (this.#over.aborted) return
    clearTimeout(this.#timer)
    this.#letGo?.()
    this.#over.abort(reason)
    this.#log.left(this)
    this.#wake?.()
  }
}
