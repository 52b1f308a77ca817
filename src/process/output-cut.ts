import type { OutputLog, StreamName } from './output-log.ts'
import type { Slab, SlabPool } from './slab-pool.ts'

/** Where an `OutputSource` puts what it reads. */
export type OutputSink = Pick<OutputLog, 'append' | 'full' | 'window'>

interface OutputCutOptions {
  readonly log: OutputLog
  readonly pool: SlabPool
  readonly stream: StreamName
  /** Bytes of the stream that reach the log. */
  readonly most: number
}

/** The log itself, or where its output is limited a cut before it, which is added to `cuts`. */
export function sinkFor(
  {
    output,
    pool,
    outputMax,
  }: { readonly output: OutputLog; readonly pool: SlabPool; readonly outputMax?: number | undefined },
  stream: StreamName,
  cuts: OutputCut[],
): OutputSink {
  if (outputMax === undefined) return output
  const cut = new OutputCut({ log: output, pool, stream, most: outputMax })
  cuts.push(cut)
  return cut
}

/** More than the line that says what is left out is long: so much can be left out at least. */
const LINE_ROOM = 64

/** Pieces of the end: small beside any window. */
const PIECE_BYTES = 64 * 1024

/** Bytes of memory that the ends of a command's streams may take until it has ended. */
export function tailBytes(most: number | undefined, streams: number): number {
  return most === undefined ? 0 : streams * (tailOf(most) + LINE_ROOM)
}

/**
 * Lets so many bytes of one stream into a log: half of them as they come, and the other half, the last, at the end
 * (`finish`), after a line that says how many were left out between. Positions in the stream stay what they were.
 * Nothing waits for readers after the first half. Output that fits is not cut.
 */
export class OutputCut implements OutputSink {
  readonly #options: OutputCutOptions
  readonly #tail: number
  /** Bytes that still come as they are. */
  #head: number
  /** The last bytes, as a ring of `#tail + LINE_ROOM`, made when it is needed. */
  #ring: Buffer | undefined
  /** Bytes that were put into the ring, ever. */
  #held = 0

  constructor(options: OutputCutOptions) {
    this.#options = options
    this.#tail = tailOf(options.most)
    this.#head = options.most - this.#tail
  }

  get window(): number {
    return this.#options.log.window
  }

  /** Only the beginning waits for readers. */
  get full(): boolean {
    return this.#head > 0 && this.#options.log.full
  }

  append(stream: StreamName, bytes: Uint8Array, slab?: Slab): void {
    const { log, pool } = this.#options
    const begins = Math.min(this.#head, bytes.length)
    this.#head -= begins
    if (begins < bytes.length) this.#hold(bytes.subarray(begins))
    if (begins > 0) log.append(stream, bytes.subarray(0, begins), slab)
    else if (slab !== undefined) pool.release(slab)
  }

  /** No more comes: the rest goes to the log. Call it once, before the log is closed. */
  finish(): void {
    const { log, stream } = this.#options
    const ring = this.#ring
    if (ring === undefined) return
    const kept = this.#held <= ring.length ? this.#held : this.#tail
    const leftOut = this.#held - kept
    if (leftOut > 0) {
      const line = Buffer.from(lineOf(stream, leftOut))
      log.append(stream, line)
      log.skip(stream, leftOut - line.length)
    }
    for (let at = leftOut; at < this.#held; ) {
      const start = at % ring.length
      const length = Math.min(PIECE_BYTES, this.#held - at, ring.length - start)
      log.append(stream, ring.subarray(start, start + length))
      at += length
    }
    this.#ring = undefined
  }

  #hold(bytes: Uint8Array): void {
    const ring = this.#ring ?? Buffer.allocUnsafeSlow(this.#tail + LINE_ROOM)
    this.#ring = ring
    // Of more than the ring holds only the end matters, at its place.
    const skipped = Math.max(0, bytes.length - ring.length)
    this.#held += skipped
    for (let from = skipped; from < bytes.length; ) {
      const start = this.#held % ring.length
      const length = Math.min(bytes.length - from, ring.length - start)
      ring.set(bytes.subarray(from, from + length), start)
      from += length
      this.#held += length
    }
  }
}

function tailOf(most: number): number {
  return Math.floor(most / 2)
}

/** At most 52 characters long, the number included. */
function lineOf(stream: StreamName, bytes: number): string {
  const end = stream === 'pty' ? '\r\n' : '\n'
  return `${end}[${bytes} bytes of output left out]${end}`
}
