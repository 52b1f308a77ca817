import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import type { Actor } from '../native/files.ts'
import { randomBytes } from '../native/index.ts'
import type { Change } from './change.ts'
import { ChangeBuffer } from './change-buffer.ts'
import type { Watcher } from './watcher.ts'

/** A watcher without a poll for so long is removed: its client has left or lost the id. */
const IDLE_MS = 24 * 60 * 60 * 1000

/** Milliseconds between two searches for watchers without a poll. */
const SWEEP_MS = 60 * 60 * 1000

/**
 * Polled watchers at a time. Each may hold 65,536 changes, so that clients in a loop must not make them without end.
 */
const MAX_POLLERS = 1_000

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz0123456789'
const ID_LENGTH = 20

/** What bounds the watchers; the defaults are in parentheses. */
export interface PollerLimits {
  /** Watchers at a time (1,000). */
  readonly pollers?: number
  /** Changes that each keeps (65,536). */
  readonly changes?: number
  /** Milliseconds without a poll after which one is removed (a day). */
  readonly idle?: number
  /** Milliseconds between looks for such (an hour). */
  readonly sweep?: number
}

interface Poller {
  readonly watcher: Watcher
  readonly buffer: ChangeBuffer
  readonly context: PollContext
  polled: number
}

/** What the creator of a watcher wants to have back with every poll. */
export interface PollContext {
  /** The watched path, as the client named it. */
  readonly path: string
  /** For whom entries are looked at. */
  readonly actor: Actor
  readonly includeEntry: boolean
}

/** What a poll returns. */
interface Polled extends PollContext {
  readonly changes: readonly Change[]
  /** To be called with all of them, as they are sent or given up: until then their memory is counted. */
  readonly sent: (changes: readonly Change[]) => void
}

/** The watchers that clients poll. They live until they are removed, or were not polled for a day (contract C40). */
export class Pollers {
  readonly #pollers = new Map<string, Poller>()
  readonly #limits: PollerLimits
  readonly #max: number
  #opening = 0
  #closed = false
  #dropped = 0
  readonly #sweeper: NodeJS.Timeout

  constructor(limits: PollerLimits = {}) {
    this.#limits = limits
    this.#max = limits.pollers ?? MAX_POLLERS
    this.#sweeper = setInterval(() => this.#sweep(), limits.sweep ?? SWEEP_MS).unref()
  }

  /** Number of watchers. */
  get size(): number {
    return this.#pollers.size
  }

  /** Changes that all watchers so far have dropped because they were not polled in time. */
  get dropped(): number {
    return this.#dropped
  }

  /**
   * Opens a watcher into a buffer of its own and returns its id. Rejects with what `open` rejects with, or
   * `resource_exhausted`.
   * @param hold takes the memory of the buffer, which releases it.
   */
  async add(context: PollContext, open: (buffer: ChangeBuffer) => Promise<Watcher>, hold?: Hold): Promise<string> {
    if (this.#pollers.size + this.#opening >= this.#max)
      throw new AppError('resource_exhausted', `there are ${this.#max} watchers already: remove some first`)
    this.#opening++
    try {
      const { changes: limit } = this.#limits
      const onDrop = () => {
        this.#dropped++
      }
      const buffer = new ChangeBuffer({ onDrop, ...(limit === undefined ? {} : { limit }), ...(hold ? { hold } : {}) })
      const watcher = await open(buffer).catch((error: unknown) => {
        buffer.close()
        throw error
      })
      if (this.#closed) end({ watcher, buffer })
      const id = createId()
      this.#pollers.set(id, { watcher, buffer, context, polled: performance.now() })
      return id
    } finally {
      this.#opening--
    }
  }

  /**
   * Everything that has changed until now, in order. Throws AppError: `not_found` for an unknown id,
   * `resource_exhausted` once after changes were lost, and why the watching ended, once all changes before that were
   * taken.
   */
  async poll(id: string): Promise<Polled> {
    const poller = this.#find(id)
    poller.polled = performance.now()
    await poller.watcher.settled()
    const changes = poller.buffer.drain()
    if (changes.length === 0 && poller.buffer.ended !== undefined) throw poller.buffer.ended
    return { ...poller.context, changes, sent: (some) => poller.buffer.sent(some) }
  }

  /** Ends a watcher. Throws `not_found` for an unknown id. */
  remove(id: string): void {
    end(this.#find(id))
    this.#pollers.delete(id)
  }

  /** Ends all watchers. */
  close(): void {
    this.#closed = true
    clearInterval(this.#sweeper)
    for (const poller of this.#pollers.values()) end(poller)
    this.#pollers.clear()
  }

  #find(id: string): Poller {
    const poller = this.#pollers.get(id)
    if (poller === undefined) throw new AppError('not_found', `watcher with id ${id} not found`)
    return poller
  }

  #sweep(): void {
    const idle = this.#limits.idle ?? IDLE_MS
    for (const [id, { polled }] of this.#pollers) if (performance.now() - polled > idle) this.remove(id)
  }
}

function end({ watcher, buffer }: Pick<Poller, 'watcher' | 'buffer'>): void {
  watcher.close()
  buffer.close()
}

/**
 * `w` and 20 small letters or digits (contract C40), from the kernel: clones of a snapshot must not repeat each
 * other's.
 */
function createId(): string {
  const characters = Array.from(randomBytes(ID_LENGTH), (byte) => ALPHABET[byte % ALPHABET.length])
  return `w${characters.join('')}`
}
