import type { ByteBudget, Hold } from '../budget/budget.ts'
import type { UnreadFrames } from '../budget/unread-frames.ts'
import { AppError } from '../errors.ts'
import type { RunningProcess, TerminalSize } from '../process/process.ts'
import { type AttachedClient, Clients, type ResizePolicy } from './clients.ts'
import type { Screen } from './screen.ts'
import type { ScreenFeed } from './screen-feed.ts'

/** A terminal with a screen. */
export interface LiveTerminal {
  readonly process: RunningProcess
  readonly clients: Clients
  readonly feed: ScreenFeed
}

/** How a client attaches. */
export interface AttachOptions {
  readonly size: TerminalSize | undefined
  readonly policy: ResizePolicy | undefined
  readonly takeover: boolean
}

/**
 * Screens at a time, of up to 6 MB each and much less as a rule: beyond it, the screen that was not read for
 * longest is dropped, and drawn anew from the retained output at the next attach.
 */
export const MAX_SCREENS = 32

interface Entry extends LiveTerminal {
  readonly hold: Hold
  /** Streams that use it. */
  users: number
}

/** What loads the emulator: at the first screen, as few daemons ever need it. */
type LoadScreen = () => Promise<typeof import('./screen.ts') & typeof import('./screen-feed.ts')>

interface Accounts {
  /** Where screens count. */
  readonly budget: ByteBudget
  /** Where what was drawn of them for clients counts. */
  readonly unread: UnreadFrames
}

/** The terminals that have a screen. */
export class Terminals {
  readonly unread: UnreadFrames
  readonly #budget: ByteBudget
  readonly #load: LoadScreen
  /** The one that was used last is at the end. */
  readonly #entries = new Map<RunningProcess, Promise<Entry>>()
  readonly #ready = new Map<RunningProcess, Entry>()
  /** Whose end is awaited. */
  readonly #awaited = new WeakSet<RunningProcess>()
  /** Those whose size is looked at in the next turn of the event loop. */
  readonly #unfit = new Set<Clients>()
  #clientIds = 0

  constructor({ budget, unread }: Accounts, load: LoadScreen) {
    this.#budget = budget
    this.unread = unread
    this.#load = load
  }

  /** The terminal of that process if it has a screen. */
  known(process: RunningProcess): LiveTerminal | undefined {
    return this.#ready.get(process)
  }

  /**
   * The terminal of a process, with a screen from now on; the caller calls `leave` once. Rejects with `budget_spent` or
   * `resource_exhausted` when there is no memory for its screen.
   */
  async use(process: RunningProcess, user: string): Promise<{ readonly terminal: LiveTerminal; leave(): void }> {
    const known = this.#entries.get(process)
    const entering = known ?? this.#make(process, user)
    if (known !== undefined) this.#entries.delete(process)
    this.#entries.set(process, entering)
    const entry = await entering
    // Who makes it uses it from the beginning, so that it is not given up for another before it is looked at.
    if (known !== undefined) entry.users++
    let left = false
    const leave = () => {
      if (left) return
      left = true
      entry.users--
      this.#forgetEnded(process)
    }
    return { terminal: entry, leave }
  }

  /** Takes in a client of a terminal, whose size follows; the function returned takes it out. */
  attach({ process, clients }: LiveTerminal, { size, policy, takeover }: AttachOptions) {
    const client = clients.add(++this.#clientIds, { ...(size === undefined ? {} : { size }), policy, takeover })
    this.fit(process, clients)
    const leave = (gone: AttachedClient) => {
      clients.remove(gone)
      this.#fitSoon(process, clients)
    }
    return { client, leave: () => leave(client) }
  }

  /** Of many clients that leave together each would look at all the others. */
  #fitSoon(process: RunningProcess, clients: Clients): void {
    if (this.#unfit.has(clients)) return
    this.#unfit.add(clients)
    setImmediate(() => {
      this.#unfit.delete(clients)
      this.fit(process, clients)
    })
  }

  /** Sets the size of the terminal to the one that follows from its clients'. */
  fit(process: RunningProcess, clients: Clients): void {
    const wanted = clients.wantedSize()
    const { columns, rows } = process.size
    if (wanted === undefined || (wanted.columns === columns && wanted.rows === rows)) return
    if (process.end === undefined) process.resize(wanted)
  }

  #make(process: RunningProcess, user: string): Promise<Entry> {
    const making = this.#open(process, user)
    making.catch(() => this.#entries.delete(process))
    return making
  }

  async #open(process: RunningProcess, user: string): Promise<Entry> {
    const { Screen: ScreenType, ScreenFeed: Feed, screenBytes } = await this.#load()
    if (this.#entries.size > MAX_SCREENS) this.#giveUpOldest()
    const hold = this.#budget.hold('screen', { connection: undefined, user })
    hold.grow(screenBytes(process.size))
    const clients = new Clients()
    const screen: Screen = new ScreenType(process.size)
    const holds = (extra: number) => hold.tryGrow(Math.max(0, screenBytes(process.size) + extra - hold.bytes))
    const feed: ScreenFeed = new Feed(process, screen, { onLost: () => this.#forget(process), holds })
    const entry: Entry = { process, clients, feed, hold, users: 1 }
    this.#ready.set(process, entry)
    process.onResize = (size) => {
      hold.shrink(hold.bytes)
      // A screen that has become too large is given up; the streams go on without it.
      if (!hold.tryGrow(screenBytes(size))) return this.#forget(process)
      feed.resized(size)
      clients.resized({ offset: process.output.offset('pty'), size })
    }
    this.#awaitEnd(process)
    return entry
  }

  #giveUpOldest(): void {
    for (const process of this.#entries.keys()) {
      const entry = this.#ready.get(process)
      if (entry === undefined || entry.users > 0) continue
      this.#forget(process)
      return
    }
    throw new AppError('resource_exhausted', `${MAX_SCREENS} terminals with a screen are in use already`)
  }

  /** Once for each process, and without its screen: its end may be days away, and many screens given up before. */
  #awaitEnd(process: RunningProcess): void {
    if (this.#awaited.has(process)) return
    this.#awaited.add(process)
    void process.ended.then(() => this.#forgetEnded(process))
  }

  #forgetEnded(process: RunningProcess): void {
    if (this.#ready.get(process)?.users === 0 && process.end !== undefined) this.#forget(process)
  }

  #forget(process: RunningProcess): void {
    const entry = this.#ready.get(process)
    if (entry === undefined) return
    this.#ready.delete(process)
    this.#entries.delete(process)
    process.onResize = () => {}
    entry.feed.close()
    entry.hold.release()
  }
}
