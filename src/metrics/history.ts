import { NO_SAMPLE, type Sample } from './sample.ts'

/** Samples of an hour, one every two seconds. */
export const HISTORY_SAMPLES = 1800

// The object literal has the keys of its type, no others.
const FIELDS = Object.keys(NO_SAMPLE) as readonly (keyof Sample)[]

/** The latest samples, in memory that was set aside at the start: 360 KB for an hour. */
export class History {
  readonly #capacity: number
  readonly #figures: Float64Array
  #end = 0

  constructor(capacity = HISTORY_SAMPLES) {
    this.#capacity = capacity
    this.#figures = new Float64Array(capacity * FIELDS.length)
  }

  /** Number of the oldest sample that is kept. Numbers count up from 0 in the order in which the samples were taken. */
  get start(): number {
    return Math.max(0, this.#end - this.#capacity)
  }

  /** The number that the next sample will have. */
  get end(): number {
    return this.#end
  }

  /** Adds a sample; the oldest goes if there are too many. */
  push(sample: Sample): void {
    const row = this.#row(this.#end)
    for (const [column, field] of FIELDS.entries()) this.#figures[row + column] = sample[field]
    this.#end++
  }

  /** The sample of that number; undefined if it is not kept. */
  at(number: number): Sample | undefined {
    if (number < this.start || number >= this.#end) return undefined
    const row = this.#row(number)
    // Every field is set.
    return Object.fromEntries(FIELDS.map((field, column) => [field, this.#figures[row + column]])) as unknown as Sample
  }

  /**
   * The numbers of the samples from one time until before another, in milliseconds since 1970, ascending. All are
   * looked at: where the wall clock was set, times are not in order.
   */
  between(from: number, to: number): number[] {
    const numbers: number[] = []
    for (let number = this.start; number < this.#end; number++) {
      const time = this.#figures[this.#row(number)] ?? 0
      if (time >= from && time < to) numbers.push(number)
    }
    return numbers
  }

  #row(number: number): number {
    return (number % this.#capacity) * FIELDS.length
  }
}
