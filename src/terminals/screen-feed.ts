import { setImmediate } from 'node:timers/promises'
import { AppError, CLOSED } from '../errors.ts'
import { createLock } from '../lib/lock.ts'
import { loopTurns } from '../lib/turns.ts'
import { WakeUp } from '../lib/wake-up.ts'
import type { OutputReader } from '../process/output-reader.ts'
import type { RunningProcess, TerminalSize } from '../process/process.ts'
import { pieceLength } from './piece.ts'
import type { Screen } from './screen.ts'

/** A screen at one moment. */
export interface Snapshot {
  /** UTF-8, cut between characters; they belong to the receiver, which may take them out. */
  readonly parts: Uint8Array[]
  /** Where the output begins that is not in it. */
  readonly offset: number
  readonly size: TerminalSize
  readonly alternate: boolean
  readonly title: string
  readonly cwd: string
}

/** A change of size, and where in the output it came. */
export interface Resize {
  readonly offset: number
  readonly size: TerminalSize
}

/**
 * Bytes that the emulator is given at a time. What they take is measured: a sequence may cost a thousand times as much
 * as text, and everything is slow at first.
 */
const FIRST_PIECE = 128
const MIN_PIECE = 4
const MAX_PIECE = 1024

/** Milliseconds that a piece may take before the next is smaller, and below which it is larger. */
const LONG_MS = 0.5
const SHORT_MS = 0.2

/** Milliseconds of drawing after which other work has a turn, other screens among it. */
const TURN_MS = 1

/** Sizes that wait for their place in the output: more come from no person. */
const MAX_RESIZES = 64

/** An hour: silence needs no look. */
const QUIET_MS = 3_600_000

interface FeedOptions {
  readonly onLost: () => void
  readonly holds: (extraBytes: number) => boolean
}

/**
 * Draws the output of a terminal on its screen, in pieces of at most a few milliseconds, as one more reader: while it
 * is behind the command waits. `onLost` is called once if it could not go on.
 */
export class ScreenFeed {
  readonly #process: RunningProcess
  readonly #screen: Screen
  readonly #reader: OutputReader
  readonly #over = new AbortController()
  readonly #turn = createLock()
  /** Wakes after each turn of drawing, and at the close. */
  readonly #drawn = new WakeUp()
  readonly #holds: FeedOptions['holds']
  readonly #resizes: Resize[] = []
  #size: TerminalSize
  #offset: number
  #piece = FIRST_PIECE

  /** @param holds whether there is memory for so many bytes beside `screenBytes`; else the screen is lost. */
  constructor(process: RunningProcess, screen: Screen, { onLost, holds }: FeedOptions) {
    this.#holds = holds
    this.#process = process
    this.#screen = screen
    this.#size = process.size
    this.#reader = process.output.reader(this.#over.signal, 'oldest')
    process.output.require(this.#reader)
    this.#offset = this.#reader.begins.pty
    this.#run().catch(() => {
      if (!this.#over.signal.aborted) onLost()
    })
  }

  get title(): string {
    return this.#screen.title
  }

  get cwd(): string {
    return this.#screen.cwd
  }

  /** The terminal has this size from what it writes now on. */
  resized(size: TerminalSize): void {
    if (this.#resizes.length >= MAX_RESIZES) this.#resizes.shift()
    this.#resizes.push({ offset: this.#process.output.offset('pty'), size })
  }

  /**
   * The screen as of now: all that was written before the call is in it. Rejects with the signal's reason, and with
   * what `count` throws.
   * @param count called with the bytes of each part as it is made.
   */
  async snapshot(signal: AbortSignal, count: (part: Uint8Array) => void): Promise<Snapshot> {
    const wanted = this.#process.output.offset('pty')
    while (this.#offset < wanted && !this.#over.signal.aborted) await this.#drawn.wait(QUIET_MS, signal)
    const release = await this.#turn.acquire(signal)
    try {
      this.#applyResizes(this.#offset)
      return await this.#write(signal, count)
    } finally {
      release()
    }
  }

  close(): void {
    if (this.#over.signal.aborted) return
    this.#over.abort(CLOSED)
    this.#drawn.wake()
    this.#reader.close()
    this.#screen.dispose()
  }

  async #write(signal: AbortSignal, count: (part: Uint8Array) => void): Promise<Snapshot> {
    const parts: Uint8Array[] = []
    for (const text of this.#screen.snapshot()) {
      const part = Buffer.from(text)
      count(part)
      parts.push(part)
      await loopTurns.next(this)
      signal.throwIfAborted()
    }
    const { title, cwd, alternate, pending } = this.#screen
    // An unfinished sequence has drawn nothing yet: it comes whole, with what follows.
    return { parts, offset: this.#offset - pending, size: this.#size, alternate, title, cwd }
  }

  async #run(): Promise<void> {
    for (;;) {
      const state = await this.#reader.readable(QUIET_MS)
      if (state === 'end') return
      const chunk = this.#reader.take(({ bytes, offset }) => ({ bytes: Uint8Array.from(bytes), offset }))
      if (chunk === undefined) continue
      for (let at = 0; at < chunk.bytes.length; ) at += await this.#draw(chunk.bytes, at, chunk.offset + at)
    }
  }

  /** Draws pieces from `at` on for one turn, and returns their length. */
  async #draw(bytes: Uint8Array, at: number, offset: number): Promise<number> {
    await loopTurns.turn(this)
    const release = await this.#turn.acquire(this.#over.signal)
    try {
      const began = performance.now()
      let drawn = 0
      while (at + drawn < bytes.length && performance.now() - began < TURN_MS) {
        this.#applyResizes(offset + drawn)
        const next = this.#resizes[0]?.offset ?? Number.POSITIVE_INFINITY
        const length = pieceLength(bytes, at + drawn, Math.min(this.#piece, next - offset - drawn))
        this.#drawPiece(bytes.subarray(at + drawn, at + drawn + length))
        drawn += length
        this.#offset = offset + drawn
      }
      if (!this.#holds(this.#screen.extraBytes)) throw new AppError('budget_spent', 'no memory for the screen')
      return drawn
    } finally {
      release()
      this.#drawn.wake()
      await setImmediate()
    }
  }

  #drawPiece(bytes: Uint8Array): void {
    const began = performance.now()
    this.#screen.write(bytes)
    const took = performance.now() - began
    if (took > LONG_MS) this.#piece = Math.max(MIN_PIECE, this.#piece >> 1)
    else if (took < SHORT_MS) this.#piece = Math.min(MAX_PIECE, this.#piece << 1)
  }

  #applyResizes(offset: number): void {
    for (let first = this.#resizes[0]; first !== undefined && first.offset <= offset; first = this.#resizes[0]) {
      this.#resizes.shift()
      this.#size = first.size
      this.#screen.resize(first.size)
    }
  }
}
