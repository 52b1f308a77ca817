import type { StreamFrames, UnreadFrames } from '../budget/unread-frames.ts'
import { AppError } from '../errors.ts'
import { loopTurns } from '../lib/turns.ts'
import { WakeUp } from '../lib/wake-up.ts'
import type { KnownProcess } from '../process/known-process.ts'
import type { Registry } from '../process/registry.ts'

/** What a stream of changes carries. */
export type ChangeItem<T> =
  | { readonly kind: 'watching' }
  | { readonly kind: 'keepalive' }
  | { readonly kind: 'start' | 'end'; readonly job: T }

/** What a filter looks at. */
export interface Described {
  readonly running: boolean
  readonly tag: string | undefined
  readonly user: string
}

interface Change<T> extends Described {
  readonly item: ChangeItem<T>
  readonly bytes: number
}

/**
 * Changes that are kept for clients that have yet to take them, and their bytes in sum, 2 to 10 KiB each. So many bytes
 * count in the byte budget while a client watches: what others hold takes nothing from those who read.
 */
const MAX_KEPT = 1_000
const MAX_KEPT_BYTES = 4 * 1024 * 1024

/** Of a change beside its texts, and of a character of them: as they are, and as a frame of each codec. */
const CHANGE_BYTES = 2048
const CHARACTER_BYTES = 4

/** Changes that a client gets at a time, so that others have their turn between them. */
const BATCH = 50

/** A client that watches. */
interface Watcher {
  readonly matches: (described: Described) => boolean
  /** Number of the first change that it has yet to look at. */
  next: number
  readonly wakeUp: WakeUp
}

interface WatchOptions {
  /** Milliseconds between keepalives. */
  readonly keepalive: number
  readonly signal: AbortSignal
}

interface ChangesDeps<T> {
  readonly registry: Pick<Registry, 'watchers'>
  readonly unread: UnreadFrames
  readonly toJob: (process: KnownProcess) => T
}

/**
 * The jobs that start and end, once for all clients that watch: each has a place in what is kept, and one that falls
 * out of it is cut off, so that clients which do not read take no memory however many there are. Keeps nothing while
 * no client watches.
 */
export class JobChanges<T> {
  readonly #deps: ChangesDeps<T>
  readonly #kept: Change<T>[] = []
  readonly #watchers = new Set<Watcher>()
  #counted: StreamFrames | undefined
  #bytes = 0
  /** Number of the oldest that is kept, of all since the first client. */
  #oldest = 0

  constructor(deps: ChangesDeps<T>) {
    this.#deps = deps
  }

  /**
   * Jobs that start and end from now on, as they are at that moment; all clients get the same objects. Ends with the
   * signal, with `resource_exhausted` when its client has fallen so far behind that changes are not kept any more, or
   * as `UnreadFrames.open`.
   */
  async *watch(
    matches: (described: Described) => boolean,
    { keepalive, signal }: WatchOptions,
  ): AsyncGenerator<readonly ChangeItem<T>[], void> {
    const watcher = this.#enter(matches)
    try {
      let sent = performance.now()
      yield [{ kind: 'watching' }]
      for (;;) {
        // Thousands of clients may wait for the same change.
        const turn = loopTurns.turn(signal)
        if (turn !== undefined) await turn
        const at = watcher.next - this.#oldest
        if (at < 0) throw missed(-at)
        const changes = this.#kept.slice(at, at + BATCH)
        watcher.next += changes.length
        const items = changes.filter(matches).map(({ item }) => item)
        const quiet = sent + keepalive - performance.now()
        if (items.length > 0) yield items
        else if (changes.length > 0 || (await watcher.wakeUp.wait(Math.max(0, quiet), signal))) continue
        else yield [{ kind: 'keepalive' }]
        sent = performance.now()
      }
    } finally {
      this.#leave(watcher)
    }
  }

  #enter(matches: Watcher['matches']): Watcher {
    if (this.#watchers.size === 0) {
      const nobody = { connection: undefined, user: undefined }
      this.#counted = this.#deps.unread.open(nobody, { evict: () => {}, bytes: MAX_KEPT_BYTES })
    }
    const watcher = { matches, next: this.#oldest + this.#kept.length, wakeUp: new WakeUp() }
    this.#watchers.add(watcher)
    this.#deps.registry.watchers.add(this.#keep)
    return watcher
  }

  #leave(watcher: Watcher): void {
    this.#watchers.delete(watcher)
    if (this.#watchers.size > 0) return
    this.#deps.registry.watchers.delete(this.#keep)
    this.#counted?.release()
    this.#oldest += this.#kept.length
    this.#kept.length = 0
    this.#bytes = 0
  }

  readonly #keep = (kind: 'start' | 'end', process: KnownProcess): void => {
    const { tag, about, end } = process
    const { user, cmd, args, cwd, key = '' } = about
    const texts = [tag ?? '', user, cmd, cwd, key, ...args]
    const bytes = CHANGE_BYTES + CHARACTER_BYTES * texts.reduce((sum, { length }) => sum + length, 0)
    while (this.#kept.length >= MAX_KEPT || (this.#bytes + bytes > MAX_KEPT_BYTES && this.#kept.length > 0))
      this.#drop()
    this.#bytes += bytes
    const item = { kind, job: this.#deps.toJob(process) }
    const change = { item, running: end === undefined, tag, user, bytes }
    const number = this.#oldest + this.#kept.length
    this.#kept.push(change)
    for (const watcher of this.#watchers) {
      // To look at it here takes a hundredth of what it takes to wake one.
      if (watcher.next === number && !watcher.matches(change)) watcher.next++
      else watcher.wakeUp.wake()
    }
  }

  #drop(): void {
    const dropped = this.#kept.shift()
    if (dropped === undefined) return
    this.#oldest++
    this.#bytes -= dropped.bytes
  }
}

function missed(count: number): AppError {
  return new AppError('resource_exhausted', `the client took changes too slowly: ${count} were missed`)
}
