import { checkKept } from './check-kept.ts'
import { compacted, dense } from './compacted.ts'
import type { KeptOutput } from './kept-output.ts'
import { newestBytes } from './newest-bytes.ts'
import { OutputReader } from './output-reader.ts'
import type { WindowShare } from './output-window.ts'
import { ReaderPace } from './reader-pace.ts'
import type { Slab, SlabPool } from './slab-pool.ts'

/** Where output came from; a terminal has one stream only. */
export type StreamName = 'stdout' | 'stderr' | 'pty'

/** A position in each stream, in bytes from the start of the process. */
export type Offsets = Readonly<Record<StreamName, number>>

/** Output of one read(2), in the order in which it was read. */
export interface Chunk {
  readonly stream: StreamName
  /** Valid until the chunk leaves the log: a reader copies what it needs of a chunk before it yields. */
  readonly bytes: Uint8Array
  /** Position of the first byte in its stream. */
  readonly offset: number
  /** What the bytes lie in; undefined: memory of their own. */
  readonly slab: Slab | undefined
  /** Readers that have yet to take it. */
  pending: number
  /** Encoded forms, by codec and whether they have the offset, while other readers will want them too. */
  frames: Map<string, Uint8Array> | undefined
}

/** What a chunk costs beside its bytes: objects and list entries. Bounds a window of one-byte chunks. */
const CHUNK_OVERHEAD_BYTES = 256

/** Unread bytes of the fastest reader at which reading pauses: keeps a socket busy, is small beside the window. */
const PAUSE_BYTES = 1024 * 1024

/** How an OutputLog is made. */
interface OutputLogOptions {
  readonly share: WindowShare
  readonly pool: SlabPool
  /** Milliseconds after which a reader that takes nothing, while output waits, is ended. */
  readonly stall: number
  /** What it goes on with, and where it is kept for the next daemon; undefined: nowhere. */
  readonly kept?: KeptOutput | undefined
}

/**
 * The recent output of one process: a bounded window of chunks that any number of readers follow, each with a cursor.
 * No reader: the newest bytes stay, the process never waits. One reader: back-pressure, it gets every byte. Several:
 * the fastest sets the pace; one that falls out of the window is ended with the number of bytes that it missed.
 */
export class OutputLog {
  readonly #options: OutputLogOptions
  readonly #readers = new Set<OutputReader>()
  readonly #pace = new ReaderPace(this.#readers)
  readonly #offsets: Record<StreamName, number>
  readonly #dropped: Record<StreamName, number>
  /** Chunks `#first` … `#end - 1`, at `#chunks[seq - #base]`; before them, slots of dropped chunks. */
  #chunks: (Chunk | undefined)[] = []
  #base = 0
  #first = 0
  #bytes = 0
  #firstByte = 0
  #closed = false
  #settled = false
  #discarded = false
  #awaited: AbortSignal | undefined
  /** Called when `full` may have changed; set by the one that reads the descriptors. */
  onFlow: () => void = () => {}
  /** Called once, when all output is in and still kept; set by the one that wants to look at it then. */
  onClose: () => void = () => {}

  constructor(options: OutputLogOptions) {
    this.#options = options
    const { kept, share } = options
    this.#offsets = { stdout: 0, stderr: 0, pty: 0, ...kept?.produced }
    this.#dropped = { ...this.#offsets }
    share.onShrink = () => this.#trim()
    this.#chunks = kept === undefined ? [] : dense(kept.takeFound(), kept, (chunk) => this.#release(chunk))
    for (const { stream, offset, bytes } of this.#kept(0).reverse()) {
      this.#dropped[stream] = offset
      this.#count(bytes.length)
    }
    this.#trim()
  }

  /** Bytes that may be kept at the moment. */
  get window(): number {
    return this.#options.share.bytes
  }

  /** Bytes seen so far on one stream. */
  offset(stream: StreamName): number {
    return this.#offsets[stream]
  }

  /** Where in each stream the output that is kept begins, and how many bytes were seen so far. */
  get range(): { readonly oldest: Offsets; readonly produced: Offsets } {
    return { oldest: { ...this.#dropped }, produced: { ...this.#offsets } }
  }

  /** Every reader is so far behind that reading more must wait. Never, without readers, unless one is awaited. */
  get full(): boolean {
    const pace = this.#pace.reader
    const { share } = this.#options
    if (pace === undefined) return this.#awaited?.aborted === false && share.held * 2 >= share.bytes
    return this.#bytes - pace.position >= Math.min(PAUSE_BYTES, share.ahead)
  }

  /** No more output will come. */
  get closed(): boolean {
    return this.#closed
  }

  /** Takes over the bytes, and one hold on the slab that they lie in. */
  append(stream: StreamName, bytes: Uint8Array, slab?: Slab): void {
    const offset = this.#offsets[stream]
    this.#chunks.push({ stream, bytes, offset, slab, pending: this.#readers.size, frames: undefined })
    this.#offsets[stream] = offset + bytes.length
    this.#count(bytes.length)
    this.#trim()
    for (const reader of this.#readers) reader.notify()
  }

  #count(bytes: number): void {
    this.#bytes += bytes
    this.#options.share.hold(bytes + CHUNK_OVERHEAD_BYTES)
  }

  /** Skips bytes of a stream that are not stored, so that later chunks have their true offsets. */
  skip(stream: StreamName, bytes: number): void {
    this.#offsets[stream] += bytes
  }

  /**
   * Ends the output: readers take what is left and then see the end. What is in the window stays for later readers, in
   * memory that it shares with the output of other processes that have ended, until `discard`.
   */
  close(): void {
    if (!this.#closed) this.onClose()
    this.#closed = true
    for (const reader of this.#readers) reader.notify()
    if (this.#readers.size === 0) this.#settle()
  }

  /** No more readers will come: releases everything once the log is closed and has no reader. Idempotent. */
  discard(): void {
    this.#discarded = true
    if (this.#closed && this.#readers.size === 0) this.#releaseAll()
  }

  /**
   * A reader of everything from now on, from the oldest output that is kept, or from exactly the given position of each
   * stream: `out_of_range` when that has left the window, `invalid_argument` when it was not reached yet. The reader is
   * closed when `signal` aborts, with its reason, or by its owner.
   */
  reader(signal: AbortSignal, from: 'now' | 'oldest' | Offsets = 'now'): OutputReader {
    const start = this.#startOf(from)
    for (const chunk of this.#kept(start.seq)) chunk.pending++
    const reader = new OutputReader(this, { ...start, stall: this.#options.stall })
    this.#readers.add(reader)
    this.#awaited = undefined
    this.#pace.follow(reader)
    reader.notify()
    reader.closeWith(signal)
    this.onFlow()
    return reader
  }

  /** A copy of at most `length` bytes of the newest output that is kept, in order, of one stream or of all. */
  tail(length: number, only?: StreamName): Buffer {
    return newestBytes(this.#kept(this.#first), length, only)
  }

  /** For readers: the chunk with this number, undefined while it is not there yet, 'gone' when it left the window. */
  at(seq: number): Chunk | 'gone' | undefined {
    return seq < this.#first ? 'gone' : this.#chunks[seq - this.#base]
  }

  /** For readers: total bytes of all streams so far. */
  get bytes(): number {
    return this.#bytes
  }

  /** For readers: this one took a chunk, so the window may move and reading may go on. */
  advanced(reader: OutputReader): void {
    this.#pace.follow(reader)
    this.#flow()
  }

  /**
   * A client of an earlier daemon may come back: until there is a reader, or `signal` aborts, what is kept stays, and
   * reading waits for room.
   */
  awaitReader(signal: AbortSignal): void {
    this.#awaited = signal
    signal.addEventListener('abort', () => this.onFlow(), { once: true })
    this.onFlow()
  }

  #startOf(from: 'now' | 'oldest' | Offsets) {
    if (from === 'now') return { seq: this.#end, position: this.#bytes, begins: { ...this.#offsets } }
    const oldest = { seq: this.#first, position: this.#firstByte, begins: { ...this.#dropped } }
    if (from === 'oldest') return oldest
    checkKept(from, this.#dropped, this.#offsets)
    let { seq, position } = oldest
    for (const { stream, offset, bytes } of this.#kept(seq)) {
      if (offset + bytes.length > from[stream]) break
      seq++
      position += bytes.length
    }
    return { seq, position, begins: from }
  }

  /** Waits for this reader as well as for the fastest of the others, so that it misses nothing. One at a time. */
  require(reader: OutputReader): void {
    this.#pace.require(reader)
  }

  #flow(): void {
    this.#trim()
    this.onFlow()
  }

  /** For readers: this one is gone. */
  left(reader: OutputReader): void {
    this.#readers.delete(reader)
    this.#pace.left(reader)
    if (this.#closed && this.#readers.size === 0) this.#settle()
    else this.#flow()
  }

  /** The chunks from this number on. */
  #kept(seq: number): Chunk[] {
    return this.#chunks.slice(seq - this.#base).filter((chunk) => chunk !== undefined)
  }

  get #end(): number {
    return this.#base + this.#chunks.length
  }

  /**
   * Drops the oldest chunks beyond the window, but none that the fastest reader of a process that runs has yet to take:
   * after its end no reader is waited for.
   */
  #trim(): void {
    const { share } = this.#options
    const allowed = share.bytes
    if (share.held <= allowed) return
    const keep = this.#settled ? this.#end : (this.#pace.reader?.seq ?? this.#end)
    while (share.held > allowed && this.#first < keep) this.#drop()
    if (this.#first - this.#base > 1024) {
      this.#chunks = this.#chunks.slice(this.#first - this.#base)
      this.#base = this.#first
    }
  }

  #drop(): void {
    const slot = this.#first - this.#base
    const chunk = this.#chunks[slot]
    this.#first++
    if (chunk === undefined) return
    // Held any longer, each chunk would outlive the young generation, and the heap grow by megabytes.
    this.#chunks[slot] = undefined
    chunk.frames = undefined
    this.#options.share.hold(-chunk.bytes.length - CHUNK_OVERHEAD_BYTES)
    this.#firstByte += chunk.bytes.length
    this.#dropped[chunk.stream] = chunk.offset + chunk.bytes.length
    this.#release(chunk)
  }

  #settle(): void {
    if (this.#discarded) this.#releaseAll()
    else if (!this.#settled) this.#keepApart()
  }

  /** Copies the retained chunks out of slabs that are shared with other processes: few readers come now. */
  #keepApart(): void {
    this.#settled = true
    const before = this.#kept(this.#first)
    this.#chunks = compacted(before, this.#options.kept)
    this.#base = this.#first
    for (const chunk of before) this.#release(chunk)
    this.#options.share.keep(this.#bytes - this.#firstByte + this.#chunks.length * CHUNK_OVERHEAD_BYTES)
  }

  #release(chunk: Chunk): void {
    this.#options.kept?.forget(chunk)
    this.#options.pool.releaseBytes(chunk)
  }

  #releaseAll(): void {
    while (this.#first < this.#end) this.#drop()
    this.#chunks = []
    this.#base = this.#first
    this.#options.share.release()
  }
}
