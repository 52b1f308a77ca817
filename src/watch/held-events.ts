import type { RawEvent } from './inotify-event.ts'

/** Events held for listeners that are still to come; past it those compare with the disk. Some 10 MB. */
const MAX_HELD = 65_536

/** An arming that is under way: the directories that it watches get their listeners later. */
export interface Arming {
  /** Number of the last event before it began. */
  readonly since: number
  /** Events that it would want were dropped. */
  lost: boolean
}

/** The events since the oldest arming under way began, for those who come late. */
export class HeldEvents {
  readonly #armings = new Set<Arming>()
  #byWatch = new Map<number, RawEvent[]>()
  #count = 0

  /** Something is being armed. */
  get active(): boolean {
    return this.#armings.size > 0
  }

  /** From now on events are held, until `end` is called with what this returns. */
  begin(since: number): Arming {
    const arming: Arming = { since, lost: false }
    this.#armings.add(arming)
    return arming
  }

  /** Ends an arming: no event is held for it any more. Idempotent. */
  end(arming: Arming): void {
    if (!this.#armings.delete(arming)) return
    if (this.#armings.size === 0) this.#clear()
  }

  /** Keeps an event if something is being armed. */
  hold(event: RawEvent): void {
    if (this.#armings.size === 0) return
    if (this.#count >= MAX_HELD) {
      for (const arming of this.#armings) arming.lost = true
      this.#clear()
    }
    this.#count++
    const events = this.#byWatch.get(event.watch)
    if (events === undefined) this.#byWatch.set(event.watch, [event])
    else events.push(event)
  }

  /** What was held of one directory since an arming began, in order. */
  of(watch: number, { since }: Arming): RawEvent[] {
    const events = this.#byWatch.get(watch) ?? []
    // The earlier ones belong to armings that began before, and may be many.
    let first = events.length
    while ((events[first - 1]?.seq ?? since) > since) first--
    return events.slice(first)
  }

  #clear(): void {
    this.#byWatch = new Map()
    this.#count = 0
  }
}
