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
  /** Undefined: it is being made anew, or could not be, and then its buffer has ended. */
  opened: Opened | undefined
  readonly opening?: Promise<void>
  readonly buffer: ChangeBuffer
  /** The next daemon does not make it anew. */
  readonly forget: () => void
  polled: number
}

/** A watcher into a buffer, and what its creator wants to have back. */
interface Opened {
  readonly watcher: Watcher
  readonly context: PollContext
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
   * @param keep is called with its id, has it kept for the next daemon, and returns what undoes that.
   */
  async add(
    context: PollContext,
    open: (buffer: ChangeBuffer) => Promise<Watcher>,
    { hold, keep = () => () => {} }: { readonly hold?: Hold; readonly keep?: (id: string) => () => void } = {},
  ): Promise<string> {
    if (this.#pollers.size + this.#opening >= this.#max)
      throw new AppError('resource_exhausted', `there are ${this.#max} watchers already: remove some first`)
    this.#opening++
    try {
      const buffer = this.#buffer(hold)
      const watcher = await open(buffer).catch((error: unknown) => {
        buffer.close()
        throw error
      })
      const opened = { watcher, context }
      if (this.#closed) end({ opened, buffer })
      const id = createId()
      this.#pollers.set(id, { opened, buffer, forget: keep(id), polled: performance.now() })
      return id
    } finally {
      this.#opening--
    }
  }

  /**
   * A watcher of an earlier daemon, under its id: the first poll says that changes may be missing, those after it go
   * on. One that cannot be opened any more ends with that error.
   */
  restore(id: string, open: (buffer: ChangeBuffer) => Promise<Opened>, { hold, forget }: RestoreOptions): void {
    const buffer = this.#buffer(hold)
    buffer.missed(`file events may be missing since the last poll: the daemon was started again at ${now()}`)
    const opening = open(buffer).then(
      (opened) => {
        poller.opened = opened
        if (this.#pollers.get(id) !== poller) end(poller)
      },
      (error: unknown) => buffer.end(error instanceof AppError ? error : new AppError('internal', String(error))),
    )
    const poller: Poller = { opened: undefined, opening, buffer, forget, polled: performance.now() }
    this.#pollers.set(id, poller)
  }

  #buffer(hold: Hold | undefined): ChangeBuffer {
    const { changes: limit } = this.#limits
    const onDrop = () => {
      this.#dropped++
    }
    return new ChangeBuffer({ onDrop, ...(limit === undefined ? {} : { limit }), ...(hold ? { hold } : {}) })
  }

  /**
   * Everything that has changed until now, in order. Throws AppError: `not_found` for an unknown id,
   * `resource_exhausted` once after changes were lost, and why the watching ended, once all changes before that were
   * taken.
   */
  async poll(id: string): Promise<Polled> {
    const poller = this.#find(id)
    poller.polled = performance.now()
    await poller.opening
    const { opened, buffer } = poller
    await opened?.watcher.settled()
    const changes = buffer.drain()
    if (changes.length === 0 && buffer.ended !== undefined) throw buffer.ended
    if (opened === undefined) throw notFound(id)
    return { ...opened.context, changes, sent: (some) => buffer.sent(some) }
  }

  /** Ends a watcher. Throws `not_found` for an unknown id. */
  remove(id: string): void {
    const poller = this.#find(id)
    this.#pollers.delete(id)
    end(poller)
    poller.forget()
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
    if (poller === undefined) throw notFound(id)
    return poller
  }

  #sweep(): void {
    const idle = this.#limits.idle ?? IDLE_MS
    for (const [id, { polled }] of this.#pollers) if (performance.now() - polled > idle) this.remove(id)
  }
}

/** How a watcher is made anew. */
interface RestoreOptions {
  /** See `Pollers.add`. */
  readonly hold: Hold
  readonly forget: () => void
}

function notFound(id: string): AppError {
  return new AppError('not_found', `watcher with id ${id} not found`)
}

function now(): string {
  return new Date().toISOString()
}

function end({ opened, buffer }: Pick<Poller, 'opened' | 'buffer'>): void {
  opened?.watcher.close()
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
