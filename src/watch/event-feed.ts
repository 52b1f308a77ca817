import { constants } from 'node:os'
import { read, waitingBytes } from '../native/index.ts'
import { parseEvents, type RawEvent } from './inotify-event.ts'
import { Watermark } from './watermark.ts'

/** One read: about a thousand events, a millisecond to take apart and hand out. */
const READ_BYTES = 32 * 1024

/** Reads before other work gets a turn. */
const READS_PER_TURN = 2

/** Milliseconds of handing out before other work gets a turn: hundreds may want each of a thousand events. */
const TURN_MS = 3

const { EAGAIN } = constants.errno

/** What was read and is not handed out yet, from `next` on. */
interface Batch {
  readonly events: readonly RawEvent[]
  next: number
  readonly bytes: number
}

interface EventFeedOptions {
  /** Of the instance, which stays its owner's. */
  readonly fd: number
  /** Takes each event, in the kernel's order. */
  readonly onEvent: (event: RawEvent) => void
  /** Reading has failed with that errno; nothing more is read until `readSome` is called. */
  readonly onFailure: (errno: number) => void
}

/** The events of an inotify instance, numbered, and handed out in turns of the event loop. */
export class EventFeed {
  readonly #options: EventFeedOptions
  readonly #buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  readonly #handedOut = new Watermark()
  /** Number of the last event that was handed out. */
  #seq = 0
  /** Number of the last event that was read. */
  #numbered = 0
  #batch: Batch | undefined
  /** Goes on at the end of this turn of the event loop. */
  #goesOn = false
  /** Bytes that were handed out so far. */
  #position = 0
  #closed = false

  constructor(options: EventFeedOptions) {
    this.#options = options
  }

  /** Number of the last event that was handed out. */
  get seq(): number {
    return this.#seq
  }

  /** The number of something that has happened now and is no event of the kernel's. */
  nextSeq(): number {
    this.#numbered++
    if (this.#batch === undefined) this.#seq = this.#numbered
    return this.#numbered
  }

  /** To be called when the instance is readable. */
  readable(): void {
    if (!this.#goesOn) this.#readSome()
  }

  /**
   * Resolves with the number of the last event when everything that has happened until this call was handed out, or it
   * is closed.
   */
  async caughtUp(): Promise<number> {
    const unread = this.#closed ? 0 : Math.max(0, waitingBytes(this.#options.fd))
    const waiting = unread + (this.#batch?.bytes ?? 0)
    if (waiting > 0) {
      this.#goOn()
      await this.#handedOut.wait(this.#position + waiting)
    }
    return this.#seq
  }

  /** To be called before the instance is closed. Idempotent. */
  close(): void {
    this.#closed = true
    this.#batch = undefined
    this.#handedOut.reached(Number.POSITIVE_INFINITY)
  }

  #readSome(): void {
    const until = performance.now() + TURN_MS
    for (let reads = 0; reads < READS_PER_TURN && !this.#closed; reads++) {
      this.#batch ??= this.#read()
      if (this.#batch === undefined) return
      if (!this.#handOut(this.#batch, until)) break
    }
    if (this.#batch !== undefined || this.#handedOut.awaited) this.#goOn()
  }

  #goOn(): void {
    if (this.#goesOn) return
    this.#goesOn = true
    setImmediate(() => {
      this.#goesOn = false
      this.#readSome()
    })
  }

  /** Undefined: there is nothing, or it cannot be read. */
  #read(): Batch | undefined {
    const buffer = this.#buffer
    const bytes = read(this.#options.fd, buffer, 0, buffer.length)
    if (bytes <= 0) {
      if (bytes !== -EAGAIN) this.#options.onFailure(-bytes)
      this.#handedOut.reached(Number.POSITIVE_INFINITY)
      return undefined
    }
    const events = parseEvents(buffer, bytes, this.#numbered + 1)
    this.#numbered += events.length
    return { events, next: 0, bytes }
  }

  /** False: the time was over before the end of the batch. */
  #handOut(batch: Batch, until: number): boolean {
    for (let event = batch.events[batch.next]; event !== undefined; event = batch.events[batch.next]) {
      batch.next++
      this.#seq = event.seq
      this.#options.onEvent(event)
      if (this.#closed) return false
      if (batch.next < batch.events.length && performance.now() > until) return false
    }
    this.#batch = undefined
    this.#position += batch.bytes
    this.#handedOut.reached(this.#position)
    return true
  }
}
