import type { OutputReader } from './output-reader.ts'

/** Which of the readers of a log sets the pace: the fastest, or one that is required if that is slower. */
export class ReaderPace {
  readonly #readers: ReadonlySet<OutputReader>
  /** The one that has taken most. */
  #fastest: OutputReader | undefined
  #required: OutputReader | undefined

  /** @param readers all of the log, as they are at each call. */
  constructor(readers: ReadonlySet<OutputReader>) {
    this.#readers = readers
  }

  /** Undefined: there are no readers. */
  get reader(): OutputReader | undefined {
    const [fastest, required] = [this.#fastest, this.#required]
    if (fastest === undefined || required === undefined) return fastest ?? required
    return fastest.seq < required.seq ? fastest : required
  }

  /** From now on this one is required. One at a time. */
  require(reader: OutputReader): void {
    this.#required = reader
    this.#fastest = this.#fastestLeft(Number.POSITIVE_INFINITY)
  }

  /** This one is new, or has taken a chunk. */
  follow(reader: OutputReader): void {
    if (reader !== this.#required && reader.seq > (this.#fastest?.seq ?? -1)) this.#fastest = reader
  }

  /** This one is no reader any more. */
  left(reader: OutputReader): void {
    if (reader === this.#required) this.#required = undefined
    if (reader === this.#fastest) this.#fastest = this.#fastestLeft(reader.seq)
  }

  /** One that has taken as much as the one that has left will do: of many, most have taken all. */
  #fastestLeft(seq: number): OutputReader | undefined {
    let fastest: OutputReader | undefined
    for (const reader of this.#readers) {
      if (reader !== this.#required && reader.seq > (fastest?.seq ?? -1)) fastest = reader
      if (reader.seq >= seq) break
    }
    return fastest
  }
}
