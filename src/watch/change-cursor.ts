import type { Hold } from '../budget/budget.ts'
import type { AppError } from '../errors.ts'
import type { EventType } from '../gen/filesystem/filesystem_pb.js'
import { WakeUp } from '../lib/wake-up.ts'
import type { Change } from './change.ts'
import type { WatchSink } from './watcher.ts'

/** A path that has changed. */
export interface PathChange {
  /** Name as of `Change`. */
  readonly name: string
  readonly raw?: Buffer
  /** Each once, in the order in which they happened last. */
  readonly types: readonly EventType[]
}

/** What has changed since some answer. */
export type Since =
  | {
      readonly kind: 'changes'
      readonly answer: number
      readonly changes: readonly PathChange[]
      readonly more: boolean
    }
  /** It is not known. */
  | { readonly kind: 'unknown'; readonly answer: number; readonly reason: string }

/** Paths that wait for one client: as many as events of a watcher. */
export const MAX_CHANGED_PATHS = 65_536
/** A path in the map with its types, beside its name. */
const PATH_BYTES = 300

interface Waiting {
  readonly change: Change
  readonly types: Set<EventType>
}

/** What has changed in a directory for one client: each path once, until the client has the answer with it. */
export class ChangeCursor implements WatchSink {
  /** Woken when there are changes to report. */
  readonly news = new WakeUp()
  readonly #hold: Hold
  readonly #limit: number
  readonly #waiting = new Map<string, Waiting>()
  /** The last answer, until the client is known to have it. */
  #sent: readonly Waiting[] = []
  /** Number of the last answer that reported something. */
  #answer = 0
  #lost: string | undefined
  #end: AppError | undefined

  /** @param hold takes the memory of what waits; `close` releases it. @param limit paths */
  constructor(hold: Hold, limit = MAX_CHANGED_PATHS) {
    this.#hold = hold
    this.#limit = limit
  }

  /** Why nothing more will be known, once that is so. */
  get ended(): AppError | undefined {
    return this.#end
  }

  /** Whether `since` has something to report at once. */
  has(answer: number): boolean {
    return answer !== this.#answer || this.#waiting.size > 0 || this.#lost !== undefined || this.#end !== undefined
  }

  push(change: Change): void {
    if (this.#lost !== undefined) return
    // No name has a zero byte.
    const key = change.raw === undefined ? change.name : `\0${change.raw.toString('latin1')}`
    const known = this.#waiting.get(key)
    if (known !== undefined) {
      known.types.delete(change.type)
      known.types.add(change.type)
    } else if (this.#waiting.size >= this.#limit) this.#lose(`more than ${this.#limit} paths have changed`)
    else if (!this.#hold.tryGrow(bytesOf(change))) this.#lose('the memory for waiting data is spent')
    else this.#waiting.set(key, { change, types: new Set([change.type]) })
    this.news.wake()
  }

  onLoss(): void {
    this.#lose('events of the kernel were lost')
    this.news.wake()
  }

  end(error: AppError): void {
    this.#end = error
    this.news.wake()
  }

  /**
   * What has happened since an answer; again the same if that is the last but one. `unknown` is reported once, and what
   * happens from then on is known.
   * @param most paths
   */
  since(answer: number, most: number): Since | undefined {
    if (this.#lost !== undefined) {
      const reason = this.#lost
      this.#lost = undefined
      return { kind: 'unknown', answer: ++this.#answer, reason }
    }
    if (answer === this.#answer) this.#next(most)
    else if (answer !== this.#answer - 1 || this.#sent.length === 0) return undefined
    const changes = this.#sent.map(({ change: { name, raw }, types }) => ({
      ...{ name, types: [...types] },
      ...(raw === undefined ? {} : { raw }),
    }))
    return { kind: 'changes', answer: this.#answer, changes, more: this.#waiting.size > 0 }
  }

  /** Releases the memory. Idempotent. */
  close(): void {
    this.#lose('closed')
    this.#hold.release()
    this.news.wake()
  }

  #next(most: number): void {
    this.#release(this.#sent)
    this.#sent = []
    if (this.#waiting.size === 0) return
    const sent: Waiting[] = []
    for (const [key, waiting] of this.#waiting) {
      if (sent.length >= most) break
      sent.push(waiting)
      this.#waiting.delete(key)
    }
    this.#sent = sent
    this.#answer++
  }

  #lose(reason: string): void {
    this.#release([...this.#waiting.values(), ...this.#sent])
    this.#waiting.clear()
    this.#sent = []
    this.#lost ??= reason
  }

  #release(some: readonly Waiting[]): void {
    this.#hold.shrink(some.reduce((sum, { change }) => sum + bytesOf(change), 0))
  }
}

function bytesOf({ name, raw }: Change): number {
  return PATH_BYTES + 2 * name.length + (raw?.length ?? 0)
}
