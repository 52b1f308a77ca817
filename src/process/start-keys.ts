import { AppError } from '../errors.ts'
import { raceAbort } from '../lib/race-abort.ts'

/** A process that a start has made. */
interface Begun {
  readonly process: {
    readonly pid: number
    /** Called when nothing is kept of the process any more. */
    onForget: () => void
  }
}

interface KeyedStart {
  readonly digest: string
  /** Undefined: the start has failed. */
  readonly pid: Promise<number | undefined>
}

/** A visible character of ASCII each (RFC 5234, VCHAR). */
const KEY = /^[!-~]{1,255}$/

/**
 * The header `Idempotency-Key` of a start; undefined: there is none. Throws AppError `invalid_argument` for one that is
 * no key.
 */
export function idempotencyKey(header: (name: string) => string | undefined): string | undefined {
  const key = header('idempotency-key')
  if (key === undefined || KEY.test(key)) return key
  throw new AppError('invalid_argument', 'Idempotency-Key must be 1 to 255 visible characters of ASCII')
}

/**
 * The starts that have a key, each until nothing is kept of its process: so there are no more than processes, exits
 * (`MAX_RETAINED`) and calls under way.
 */
export class StartKeys {
  readonly #starts = new Map<string, KeyedStart>()

  /** The pid of the live process or kept exit with that key. */
  async pidOf(key: string): Promise<number | undefined> {
    return this.#starts.get(key)?.pid
  }

  /**
   * Runs `start` unless a start with this key is under way or has made a process that is still known; then the pid of
   * that. A call that comes while one is under way waits for it, and tries itself if it fails. Rejects as `start`, with
   * the signal's reason, or with `already_exists` for another digest.
   */
  async once<T extends Begun>(
    { key, digest, signal }: { readonly key: string; readonly digest: string; readonly signal: AbortSignal },
    start: () => Promise<T>,
  ): Promise<{ readonly begun: T } | { readonly pid: number }> {
    for (;;) {
      const known = this.#starts.get(key)
      if (known === undefined) return { begun: await this.#first(key, digest, start) }
      if (known.digest !== digest)
        throw new AppError('already_exists', 'the Idempotency-Key was used for another request')
      const pid = await raceAbort(known.pid, signal)
      if (pid !== undefined) return { pid }
    }
  }

  /** Adds a start that an earlier daemon has made. */
  restore(key: string, digest: string, process: Begun['process']): void {
    const made = { digest, pid: Promise.resolve(process.pid) }
    this.#starts.set(key, made)
    process.onForget = () => this.#forget(key, made)
  }

  async #first<T extends Begun>(key: string, digest: string, start: () => Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<number | undefined>()
    const made = { digest, pid: promise }
    this.#starts.set(key, made)
    try {
      const begun = await start()
      begun.process.onForget = () => this.#forget(key, made)
      resolve(begun.process.pid)
      return begun
    } catch (error) {
      this.#starts.delete(key)
      resolve(undefined)
      throw error
    }
  }

  /** The key may stand for a later start: of one that was forgotten the next daemon may know still. */
  #forget(key: string, made: KeyedStart): void {
    if (this.#starts.get(key) === made) this.#starts.delete(key)
  }
}
