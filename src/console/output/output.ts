import { Lines } from './lines.ts'

/** The streams of a command. */
const STREAMS = ['stdout', 'stderr', 'pty'] as const
type StreamName = (typeof STREAMS)[number]

/** A position in each of them, in bytes from the start of the command. */
export type Positions = Readonly<Record<StreamName, bigint>>

/**
 * The output of a command as it is read: every byte once, whichever streams of the daemon brought it. Characters may be
 * split between pieces.
 */
export class Output {
  readonly lines = new Lines()
  readonly #next: Record<StreamName, bigint> = { stdout: 0n, stderr: 0n, pty: 0n }
  readonly #decoders = new Map<StreamName, InstanceType<typeof TextDecoder>>()

  /** Where the next stream has to begin. */
  get positions(): Positions {
    return { ...this.#next }
  }

  /** A stream of the daemon begins at these positions; what lies before them is lost. */
  begin(positions: Positions): void {
    for (const stream of STREAMS) this.#skipTo(stream, positions[stream])
  }

  /** Takes a piece at its offset. */
  add(stream: StreamName, offset: bigint, bytes: Uint8Array): void {
    this.#skipTo(stream, offset)
    const known = Number(this.#next[stream] - offset)
    if (known >= bytes.length && bytes.length > 0) return
    this.#next[stream] = offset + BigInt(bytes.length)
    this.lines.add(stream, this.#decoder(stream).decode(bytes.subarray(known), { stream: true }))
  }

  #skipTo(stream: StreamName, position: bigint): void {
    const missed = position - this.#next[stream]
    if (missed <= 0n) return
    this.lines.note(`${missed} bytes of ${stream} are not kept any more`)
    this.#next[stream] = position
    this.#decoders.delete(stream)
  }

  #decoder(stream: StreamName): InstanceType<typeof TextDecoder> {
    const known = this.#decoders.get(stream)
    if (known !== undefined) return known
    const decoder = new TextDecoder()
    this.#decoders.set(stream, decoder)
    return decoder
  }
}
