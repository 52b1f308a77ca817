import { AppError, errnoOf } from '../errors.ts'
import { NEVER } from '../lib/never.ts'
import { WakeUp } from '../lib/wake-up.ts'
import { withTimeout } from '../lib/with-timeout.ts'
import type { Log } from '../log.ts'
import { History } from './history.ts'
import type { Readings, ResourceReader } from './resource-reader.ts'
import { type Activity, type Sample, toSample } from './sample.ts'
import { every } from './schedule.ts'

/** Time between samples. */
const SAMPLE_PERIOD_MS = 2000

/** How much shorter than the period the window of a CPU share may be: timers are late now and then. */
const WINDOW_SLACK_MS = 200

/** What the first and the last sample may take; a source that hangs must delay neither start nor shutdown. */
const TIMEOUT_MS = 250

/** What a request waits for the first sample, which a machine that is busy takes late. */
const FIRST_WAIT_MS = 2000

interface SamplerOptions {
  /** Closed by the sampler at its end. */
  readonly resources: ResourceReader
  readonly activity: () => Activity
  readonly log: Log
  /** Called with each sample. */
  readonly onSample?: (sample: Sample) => void
  /** Milliseconds between samples; another one than the standard is for tests. */
  readonly period?: number
}

/**
 * Takes a sample at `start`, then one every two seconds, and a last one at `stop`. The CPU share of a sample is that of
 * the last two seconds, however many were taken meanwhile; that of the first one covers the time since the sampler was
 * made.
 */
export class Sampler {
  readonly history = new History()
  readonly #options: SamplerOptions
  readonly #period: number
  readonly #taken = new WakeUp()
  /** The readings that windows may begin with, oldest first. */
  #windows: Readings[] = []
  #failure: AppError | undefined = new AppError('unavailable', 'no sample was taken yet')
  /** Settles when nothing is being read. Never rejects. */
  #reading: Promise<void>
  #waiting: Promise<void> | undefined
  #busy = true
  #endSchedule = () => {}
  #stopped: Promise<void> | undefined

  constructor(options: SamplerOptions) {
    this.#options = options
    this.#period = options.period ?? SAMPLE_PERIOD_MS
    this.#reading = this.#exclusively(async () => {
      this.#windows.push(await options.resources.read())
    })
  }

  /** Begins to sample. Resolves with the first sample taken or failed, after a quarter of a second at most. */
  start(): Promise<void> {
    this.#endSchedule = every(this.#period, () => {
      if (!this.#busy) void this.#sample(true)
    })
    return withTimeout(TIMEOUT_MS, this.#sample(true), NEVER)
  }

  /** The latest sample. Throws AppError while there is none: none was taken yet, or a source failed the last time. */
  latest(): Sample {
    const sample = this.#failure === undefined ? this.history.at(this.history.end - 1) : undefined
    if (sample === undefined) throw this.#failure ?? new AppError('unavailable', 'no sample was taken yet')
    return sample
  }

  /**
   * The latest sample. Right after the start it waits for the first one, two seconds at most. Rejects with AppError
   * while there is none, or when the signal aborts before.
   */
  async current(signal: AbortSignal): Promise<Sample> {
    if (this.#failure?.kind === 'unavailable') await withTimeout(FIRST_WAIT_MS, this.#waiting ?? this.#reading, signal)
    return this.latest()
  }

  /**
   * Takes one more sample; for moments after which a while may be missing (a pause), or was. Resolves when it is taken
   * or failed, which is logged; never rejects. Calls while one waits for its turn share that one. Does nothing after
   * `stop`.
   */
  sampleNow(): Promise<void> {
    return this.#stopped ?? this.#sample(false)
  }

  /** Takes the last sample and closes the sources; waits for it a quarter of a second at most. Idempotent. */
  stop(): Promise<void> {
    this.#endSchedule()
    const closed = () => this.#sample(false).then(() => this.#options.resources.close())
    this.#stopped ??= withTimeout(TIMEOUT_MS, closed(), NEVER)
    return this.#stopped
  }

  /**
   * True when there is a sample of that number (`History.end` is the next); false after `milliseconds`. Rejects with
   * the signal's reason.
   */
  async hasSample(number: number, milliseconds: number, signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted()
    const due = performance.now() + milliseconds
    while (number >= this.history.end) if (!(await this.#taken.wait(due - performance.now(), signal))) return false
    return true
  }

  /** @param scheduled windows of later samples begin with readings of the schedule only. */
  #sample(scheduled: boolean): Promise<void> {
    this.#waiting ??= this.#reading.then(() => {
      this.#waiting = undefined
      this.#reading = this.#exclusively(() => this.#take(scheduled))
      return this.#reading
    })
    return this.#waiting
  }

  async #exclusively(read: () => Promise<void>): Promise<void> {
    this.#busy = true
    try {
      await read()
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#busy = false
    }
  }

  async #take(scheduled: boolean): Promise<void> {
    const readings = await this.#options.resources.read()
    const before = this.#windowStart(readings.at) ?? readings
    if (scheduled) this.#windows = [...this.#windows.slice(-1), readings]
    const sample = toSample(before, readings, this.#options.activity())
    this.history.push(sample)
    this.#failure = undefined
    this.#options.onSample?.(sample)
    this.#taken.wake()
  }

  /** The newest reading that is old enough, or the oldest there is. */
  #windowStart(now: number): Readings | undefined {
    const oldEnough = ({ at }: Readings) => now - at >= this.#period - WINDOW_SLACK_MS
    return this.#windows.findLast(oldEnough) ?? this.#windows[0]
  }

  /** Logged once per row of failures. */
  #fail(error: unknown): void {
    const known = this.#failure !== undefined && this.#failure.kind === 'internal'
    this.#failure = new AppError('internal', 'the figures of the machine cannot be read')
    if (known) return
    const text = error instanceof Error ? error.message : typeof error
    this.#options.log.error({ errno: errnoOf(error), error: text }, 'no metrics')
  }
}
