import { constants } from 'node:os'
import { AppError } from '../errors.ts'
import { errnoText } from '../lib/errno-text.ts'
import { LinkedList, type Place } from '../lib/linked-list.ts'
import { NEVER } from '../lib/never.ts'
import { raceAbort } from '../lib/race-abort.ts'
import { close, type Poll, poll, write } from '../native/index.ts'
import { stdinClosed } from './input-kind.ts'

/** Bytes that may wait for one process to read them, over all calls; more are refused. */
export const MAX_QUEUED_BYTES = 16 * 1024 * 1024

const { EAGAIN, EINTR, ENOMEM, EPIPE, EIO } = constants.errno

/** The call that writes (`Caller`). */
export interface InputCall {
  readonly signal: AbortSignal
  readonly isOver?: () => boolean
}

/** What an input reports to its owner. */
export interface InputReport {
  /** Bytes written so far, changed in place: those that an earlier daemon has written count. */
  readonly count: { bytes: number }
  /** Called once, when the descriptor is closed. */
  onClosed(): void
}

/** One write, or (with `bytes` undefined) the close that follows all writes before it. */
interface Entry {
  readonly bytes: Uint8Array | undefined
  written: number
  /** Requested position of its first byte in all input, until the write begins. */
  offset: number | undefined
  readonly settle: (error?: unknown) => void
}

/**
 * The input of one process: writes in the order of the calls, each answered when its last byte is in the kernel,
 * waiting for a slow reader by poll(2), never by blocking. Owns its descriptor, which must be non-blocking: it is
 * closed after a queued close, at the first write error, or by `destroy`; queued input is dropped with it and can reach
 * no other file.
 */
export class InputQueue {
  readonly #fd: number
  readonly #poll: Poll
  /** How the errors name the descriptor. */
  readonly #name: 'stdin' | 'tty'
  readonly #report: InputReport
  readonly #entries = new LinkedList<Entry>()
  #queued = 0
  #open = true
  #closing = false

  constructor(fd: number, name: 'stdin' | 'tty', report: InputReport = { count: { bytes: 0 }, onClosed: () => {} }) {
    this.#fd = fd
    this.#name = name
    this.#report = report
    this.#poll = poll(fd, true, () => this.#flush())
  }

  /** Bytes that were written so far. */
  get written(): number {
    return this.#report.count.bytes
  }

  /** Bytes can still be written. */
  get open(): boolean {
    return this.#open && !this.#closing
  }

  /**
   * Writes all of `bytes`. The end of the call takes back what is not written yet. Fails with `failed_precondition` when
   * the input is closed or has no reader any more (contract N2), with `resource_exhausted` beyond 16 MiB waiting.
   * @param offset position of the first byte in all input: what was written already is not written again;
   * `invalid_argument` if bytes before it are missing when it has its turn. Undefined: behind everything.
   */
  write(bytes: Uint8Array, call: InputCall, offset?: number): Promise<void> {
    if (offset !== undefined && offset + bytes.length <= this.written) return Promise.resolve()
    if (!this.open) return Promise.reject(this.#closedError())
    if (this.#queued + bytes.length > MAX_QUEUED_BYTES) {
      const text = `${this.#queued} bytes of input already wait for the process, at most ${MAX_QUEUED_BYTES} may`
      return Promise.reject(new AppError('resource_exhausted', text))
    }
    const isNext = this.#entries.size === 0 && offset === undefined && !(call.isOver?.() ?? call.signal.aborted)
    const written = isNext ? this.#writeAtOnce(bytes) : 0
    // To ask for the signal takes longer than all else that is done for a key press.
    if (written > 0 && written === bytes.length) return Promise.resolve()
    return this.#enqueue(bytes.subarray(written), call.signal, offset)
  }

  /** What the kernel takes now; whatever keeps it from that shows again when the rest is written. */
  #writeAtOnce(bytes: Uint8Array): number {
    const written = bytes.length === 0 ? 0 : Math.max(0, write(this.#fd, bytes, 0, bytes.length))
    this.#report.count.bytes += written
    return written
  }

  /** Closes after everything queued is written; resolves then. Idempotent. */
  async close(signal: AbortSignal): Promise<void> {
    if (!this.open) return
    this.#closing = true
    // A caller that goes away does not undo the close.
    await raceAbort(this.#enqueue(undefined, NEVER), signal)
  }

  /** Closes at once; waiting writes fail. Idempotent. */
  destroy(): void {
    if (!this.#open) return
    this.#closeDescriptor()
    this.#failAll(() => this.#closedError())
  }

  #enqueue(bytes: Uint8Array | undefined, signal: AbortSignal, offset?: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = () => {
      if (place !== undefined) this.#remove(place)
      entry.settle(signal.reason)
    }
    let place: Place<Entry> | undefined
    const settle = (error?: unknown) => {
      signal.removeEventListener('abort', onAbort)
      if (error === undefined) resolve()
      else reject(error)
    }
    const entry: Entry = { bytes, written: 0, offset, settle }
    if (signal.aborted) {
      settle(signal.reason)
      return promise
    }
    signal.addEventListener('abort', onAbort)
    place = this.#entries.push(entry)
    this.#queued += bytes?.length ?? 0
    if (this.#entries.size === 1) this.#flush()
    return promise
  }

  #remove(place: Place<Entry>): void {
    if (!this.#entries.delete(place)) return
    this.#queued -= (place.value.bytes?.length ?? 0) - place.value.written
    if (this.#entries.size === 0 && this.#open) this.#poll.stop()
  }

  #flush(): void {
    let entry = this.#entries.first
    while (entry !== undefined) {
      if (entry.bytes === undefined) {
        this.#entries.shift()
        this.destroy()
        entry.settle()
        return
      }
      const missing = this.#passOver(entry.bytes, entry)
      const result = missing > 0 ? 'all' : this.#writeSome(entry.bytes, entry)
      if (result === 'wait') {
        this.#poll.start()
        return
      }
      if (result === 'failed') return
      this.#entries.shift()
      entry.settle(missing > 0 ? this.#gap(missing, entry.bytes) : undefined)
      entry = this.#entries.first
    }
    this.#poll.stop()
  }

  /** Skips what was written already. Returns how many bytes are missing before the entry. */
  #passOver(bytes: Uint8Array, entry: Entry): number {
    const { offset } = entry
    entry.offset = undefined
    if (offset === undefined) return 0
    entry.written = Math.max(0, Math.min(this.written - offset, bytes.length))
    this.#queued -= entry.written
    return Math.max(0, offset - this.written)
  }

  #gap(missing: number, bytes: Uint8Array): AppError {
    this.#queued -= bytes.length
    return new AppError('invalid_argument', `${missing} bytes of input are missing before the offset`)
  }

  #writeSome(bytes: Uint8Array, entry: Entry): 'all' | 'wait' | 'failed' {
    while (entry.written < bytes.length) {
      const length = write(this.#fd, bytes, entry.written, bytes.length - entry.written)
      // For want of memory in the kernel nothing is lost: it is tried again.
      if (length === -EAGAIN || length === -ENOMEM) return 'wait'
      if (length === -EINTR) continue
      if (length < 0) {
        this.#fail(-length)
        return 'failed'
      }
      entry.written += length
      this.#queued -= length
      this.#report.count.bytes += length
    }
    return 'all'
  }

  #fail(errno: number): void {
    const what = this.#name === 'tty' ? 'tty' : 'stdin: write |1'
    const text = errnoText(errno === EPIPE ? 'EPIPE' : 'EIO')
    const kind = this.#nobodyReads(errno) ? 'failed_precondition' : 'internal'
    const error = () => new AppError(kind, `error writing to ${what}: ${text}`)
    this.#closeDescriptor()
    this.#failAll(error)
  }

  #closeDescriptor(): void {
    this.#open = false
    this.#poll.close()
    close(this.#fd)
    this.#report.onClosed()
  }

  /** A terminal that no process has open any more fails with EIO (tty_write of the kernel). */
  #nobodyReads(errno: number): boolean {
    return errno === EPIPE || (this.#name === 'tty' && errno === EIO)
  }

  #failAll(error: () => AppError): void {
    this.#queued = 0
    for (let entry = this.#entries.shift(); entry !== undefined; entry = this.#entries.shift())
      entry.settle(entry.bytes === undefined ? undefined : error())
  }

  #closedError(): AppError {
    if (this.#name === 'stdin') return stdinClosed()
    return new AppError('failed_precondition', 'error writing to tty: the terminal is closed')
  }
}
