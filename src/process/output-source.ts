import { constants } from 'node:os'
import { loopTurns } from '../lib/turns.ts'
import { close, type Poll, poll, read, waitingBytes } from '../native/index.ts'
import type { KeptOutput } from './kept-output.ts'
import type { OutputSink } from './output-cut.ts'
import type { StreamName } from './output-log.ts'
import { SLAB_BYTES, type Slab, type SlabPool } from './slab-pool.ts'

interface OutputSourceOptions {
  /** Non-blocking; owned by the source, which closes it. */
  readonly fd: number
  readonly stream: StreamName
  readonly log: OutputSink
  readonly pool: SlabPool
  /** Where its bytes are kept for the next daemon, in slabs of the pool; undefined: nowhere. */
  readonly kept?: KeptOutput | undefined
  /** Bytes were read. */
  readonly onData: () => void
  /** End of file, hang-up or a read error. Called once, at most. */
  readonly onEnd: () => void
}

const { EAGAIN, EINTR, ENOMEM } = constants.errno

/** `read` returns negative error numbers; these are no end of file. */
const AGAIN: ReadonlySet<number> = new Set([-EAGAIN, -EINTR, -ENOMEM])

/**
 * Reads after the exit of the leader. Each returns at most 4 KiB of a terminal, which buffers less than that in sum:
 * what is left then was written by another process.
 */
const MAX_DRAIN_READS = 256

/** Destination of bytes that are discarded, or copied at once. Shared. */
const scratch = Buffer.allocUnsafeSlow(SLAB_BYTES)

/** A read takes at most that part of the log's window, so that no single chunk fills it. */
const PART_OF_WINDOW = 2

/** Enough for any line. */
const MIN_READ_BYTES = 1024

/**
 * Copies the bytes of one descriptor into an OutputLog: one read per readiness event, in the turns that all work
 * shares, so that neither one nor hundreds starve the event loop, and none at all while the log is full. End of file,
 * EIO of a hung-up terminal included, closes the descriptor.
 */
export class OutputSource {
  readonly #options: OutputSourceOptions
  readonly #poll: Poll
  #slab: Slab | undefined
  #polling = false
  #discarding = false
  #ended = false
  /** Readable, and reads in its turn. */
  #waits = false
  /** Bytes read so far. */
  #moved = 0

  constructor(options: OutputSourceOptions) {
    this.#options = options
    this.#poll = poll(options.fd, false, () => this.#ready())
    try {
      this.flow()
    } catch (error) {
      this.#poll.close()
      throw error
    }
  }

  /** The descriptor is at its end and closed. */
  get ended(): boolean {
    return this.#ended
  }

  /** Starts or stops reading, as the log has room or not. */
  flow(): void {
    if (this.#ended) return
    const wanted = this.#discarding || !this.#options.log.full
    if (wanted === this.#polling) return
    this.#polling = wanted
    if (wanted) this.#poll.start()
    else this.#poll.stop()
  }

  /** Reads what is there now, even into a full log, and no more than that, also while processes go on writing. */
  drain(): void {
    if (this.#ended) return
    const { fd, stream } = this.#options
    // Of a terminal the kernel counts only a part of what has been written to it.
    const waiting = stream === 'pty' ? Number.POSITIVE_INFINITY : waitingBytes(fd)
    const before = this.#moved
    for (let reads = 0; reads < MAX_DRAIN_READS && !this.#ended; reads++) {
      if (this.#read() !== 'more' || this.#moved - before > waiting) return
    }
  }

  /**
   * From now on output is read and dropped, so that a process that still writes is neither blocked nor killed by
   * SIGPIPE.
   */
  discard(): void {
    this.#discarding = true
    this.#dropSlab()
    this.flow()
  }

  /** Closes the descriptor without a call to `onEnd`. Idempotent. */
  close(): void {
    if (this.#ended) return
    this.#ended = true
    this.#poll.close()
    close(this.#options.fd)
    this.#dropSlab()
  }

  #ready(): void {
    // While it waits it stays readable, and is reported in each turn.
    if (this.#waits) return
    this.#waits = true
    loopTurns.run(this, () => {
      this.#waits = false
      this.#readWanted()
    })
  }

  #readWanted(): void {
    if (this.#polling && !this.#ended) this.#read()
  }

  #read(): 'more' | 'empty' | 'end' {
    const length = this.#discarding ? this.#readDiscarded() : this.#readIntoLog()
    if (AGAIN.has(length)) return 'empty'
    if (length <= 0) {
      this.close()
      this.#options.onEnd()
      return 'end'
    }
    this.#moved += length
    this.#options.onData()
    this.flow()
    return 'more'
  }

  #readDiscarded(): number {
    return read(this.#options.fd, scratch, 0, scratch.length)
  }

  #readIntoLog(): number {
    const { fd, log, pool, stream, kept } = this.#options
    const most = Math.floor(log.window / PART_OF_WINDOW)
    if (kept !== undefined) return this.#readKept(kept, Math.max(MIN_READ_BYTES, most))
    if (most < SLAB_BYTES) return this.#readCopied(Math.max(MIN_READ_BYTES, most))
    const slab = pool.withRoom(this.#slab)
    this.#slab = slab
    const start = slab.used
    const length = read(fd, slab.memory, start, SLAB_BYTES - start)
    if (length <= 0) return length
    slab.used += length
    slab.chunks++
    log.append(stream, slab.memory.subarray(start, start + length), slab)
    return length
  }

  #readKept(kept: KeptOutput, most: number): number {
    const { fd, log, pool, stream } = this.#options
    const slab = pool.withRoom(this.#slab, Math.min(SLAB_BYTES, most * PART_OF_WINDOW))
    this.#slab = slab
    const { length, begin } = kept.read(fd, stream, slab, most)
    if (length <= 0) return length
    slab.chunks++
    log.append(stream, slab.memory.subarray(begin, begin + length), slab)
    return length
  }

  /** With many processes a slab each would be more than all their windows. */
  #readCopied(most: number): number {
    this.#dropSlab()
    const { fd, log, stream } = this.#options
    const length = read(fd, scratch, 0, most)
    if (length > 0) log.append(stream, Buffer.from(scratch.subarray(0, length)))
    return length
  }

  #dropSlab(): void {
    if (this.#slab !== undefined) this.#options.pool.release(this.#slab)
    this.#slab = undefined
  }
}

/**
 * Makes a source for each descriptor. Throws with `code` where one cannot be waited for; all descriptors are closed then.
 */
export function openSources<T extends { readonly fd: number }>(
  wanted: readonly T[],
  make: (one: T) => OutputSource,
): readonly OutputSource[] {
  const opened: OutputSource[] = []
  try {
    orClose(opened, () => {
      for (const one of wanted) opened.push(make(one))
    })
    return opened
  } catch (error) {
    for (const { fd } of wanted.slice(opened.length)) close(fd)
    throw error
  }
}

/** Does what the sources are no use without. Throws as `work`; they are closed then. */
export function orClose(sources: readonly OutputSource[], work: () => void): void {
  try {
    work()
  } catch (error) {
    for (const source of sources) source.close()
    throw error
  }
}
