import { AppError } from '../errors.ts'
import { randomBytes } from '../native/index.ts'
import { ChangeCursor, MAX_CHANGED_PATHS, type PathChange, type Since } from './change-cursor.ts'
import { findTarget } from './watch-target.ts'
import { openWatcher, type Watcher, type WatcherDeps, type WatchOptions } from './watcher.ts'

/** A cursor that is not used for so long is removed, and its directory no longer watched. */
const IDLE_MS = 60 * 60 * 1000
/** Milliseconds between two searches for unused cursors. */
const SWEEP_MS = 60 * 1000
/** Cursors of one user; for one more the one that was not asked for longest is forgotten. */
const MAX_OF_USER = 64
/** Cursors of all users: each may take memory for the paths that wait. */
const MAX_CURSORS = 1_000
const ID_BYTES = 15
/** Longer than any token. */
const MAX_TOKEN_LENGTH = 256

/** What bounds the cursors; the defaults are in parentheses. */
interface CursorLimits {
  /** Cursors of one user (64). */
  readonly ofUser?: number
  /** Cursors of all users (1,000). */
  readonly cursors?: number
  /** Paths that wait for each (65,536). */
  readonly paths?: number
  /** Milliseconds without a call after which one is forgotten (an hour). */
  readonly idle?: number
  /** Milliseconds between two searches for unused cursors (a minute). */
  readonly sweep?: number
}

/** What a client asks for. */
interface ChangesQuery {
  /** Empty: from now on. */
  readonly token: string
  /** Milliseconds that the answer may wait for a change. */
  readonly wait: number
  /** Paths. */
  readonly most: number
  readonly signal: AbortSignal
}

/** The answer to a client. */
interface ChangesAnswer {
  readonly token: string
  readonly changes: readonly PathChange[]
  readonly more: boolean
  /** Why it is unknown what has changed. */
  readonly unknown?: string
}

interface Open {
  readonly id: string
  readonly key: string
  readonly user: string
  readonly cursor: ChangeCursor
  readonly watcher: Watcher
  /** When, on the clock of performance.now(); Infinity: a call waits. */
  asked: number
}

/**
 * Cursors over the changes of directories, which live between the calls of their clients. Cursors over the same
 * directory share a tree.
 */
export class ChangeCursors {
  readonly #deps: WatcherDeps
  readonly #limits: Required<CursorLimits>
  readonly #open = new Map<string, Open>()
  /** Those of each user; the one that was asked for last is last. */
  readonly #users = new Map<string, Set<Open>>()
  readonly #sweeper: NodeJS.Timeout
  #opening = 0
  #closed = false

  constructor(deps: WatcherDeps, limits: CursorLimits = {}) {
    this.#deps = deps
    const numbers = { ofUser: MAX_OF_USER, cursors: MAX_CURSORS, paths: MAX_CHANGED_PATHS }
    this.#limits = { ...numbers, idle: IDLE_MS, sweep: SWEEP_MS, ...limits }
    this.#sweeper = setInterval(() => this.#sweep(), this.#limits.sweep).unref()
  }

  /** Cursors that are open. */
  get size(): number {
    return this.#open.size
  }

  /**
   * What has changed since a token. Rejects with AppError as `openWatcher` does, invalid_argument for what is no token,
   * and with the signal's reason.
   */
  async changes(options: WatchOptions, query: ChangesQuery): Promise<ChangesAnswer> {
    const { token, signal } = query
    if (token.length > MAX_TOKEN_LENGTH) throw new AppError('invalid_argument', 'the token is too long')
    // In every call: the path may lead elsewhere by now, or be closed to the user.
    const key = await keyOf(options)
    if (token === '') return { ...(await this.#begin(options, key, signal)), changes: [], more: false }
    const [, id = '', answer = ''] = /^(\w+)\.(\d{1,15})$/.exec(token) ?? []
    const open = this.#open.get(id)
    let unknown = 'the token is not known, or not any more'
    if (open?.key === key) {
      const since = await this.#ask(open, Number(answer), query)
      if (since?.kind === 'changes') return { ...since, token: tokenOf(open, since.answer) }
      if (since?.kind === 'unknown')
        return { token: tokenOf(open, since.answer), changes: [], more: false, unknown: since.reason }
      unknown = open.cursor.ended?.message ?? unknown
    } else if (open?.user === options.user) {
      unknown = 'the directory is another one, or the request is'
      this.#close(open)
    }
    return { ...(await this.#begin(options, await keyOf(options), signal)), changes: [], more: false, unknown }
  }

  /** Ends all. */
  close(): void {
    this.#closed = true
    clearInterval(this.#sweeper)
    for (const open of [...this.#open.values()]) this.#close(open)
  }

  /** Undefined: the cursor does not know. */
  async #ask(open: Open, answer: number, { wait, most, signal }: ChangesQuery): Promise<Since | undefined> {
    const { cursor, watcher } = open
    const others = this.#users.get(open.user)
    others?.delete(open)
    others?.add(open)
    open.asked = Number.POSITIVE_INFINITY
    try {
      await watcher.settled()
      if (wait > 0 && !cursor.has(answer) && (await cursor.news.wait(wait, signal))) await watcher.settled()
    } finally {
      open.asked = performance.now()
    }
    if (cursor.ended !== undefined) this.#close(open)
    return this.#open.has(open.id) ? cursor.since(answer, most) : undefined
  }

  async #begin(options: WatchOptions, key: string, signal: AbortSignal): Promise<{ readonly token: string }> {
    const { cursors, paths, ofUser } = this.#limits
    if (this.#open.size + this.#opening >= cursors)
      throw new AppError('resource_exhausted', `changes of ${cursors} directories are followed already`)
    this.#opening++
    const { user } = options
    const cursor = new ChangeCursor(this.#deps.budget.hold('events', { connection: undefined, user }), paths)
    try {
      const watcher = await openWatcher(this.#deps, options, cursor, signal)
      const open = { id: createId(), key, user, cursor, watcher, asked: performance.now() }
      this.#open.set(open.id, open)
      const own = this.#users.get(user) ?? new Set()
      this.#users.set(user, own.add(open))
      const [oldest] = own
      if (oldest !== undefined && own.size > ofUser) this.#close(oldest)
      if (this.#closed) this.#close(open)
      return { token: tokenOf(open, 0) }
    } catch (error) {
      cursor.close()
      throw error
    } finally {
      this.#opening--
    }
  }

  /** Closes a cursor; later calls with its tokens report `unknown`. */
  #close(open: Open): void {
    this.#open.delete(open.id)
    const own = this.#users.get(open.user)
    own?.delete(open)
    if (own?.size === 0) this.#users.delete(open.user)
    open.watcher.close()
    open.cursor.close()
  }

  #sweep(): void {
    const before = performance.now() - this.#limits.idle
    for (const open of [...this.#open.values()]) if (open.asked < before) this.#close(open)
  }
}

/** What a token is valid for: the same directory with the same options for the same user. */
async function keyOf(options: WatchOptions): Promise<string> {
  const { real, identity } = await findTarget(options)
  const { path, recursive, exclude, user } = options
  return JSON.stringify([real.toString('latin1'), identity, path, recursive, exclude, user])
}

function tokenOf({ id }: Open, answer: number): string {
  return `${id}.${answer}`
}

/** From the kernel: clones of a snapshot must not repeat each other's. */
function createId(): string {
  return randomBytes(ID_BYTES).toString('hex')
}
