import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { forEachLimited } from '../lib/for-each-limited.ts'
import { createNextRun } from '../lib/next-run.ts'
import { Observable } from '../lib/observable.ts'
import type { Log } from '../log.ts'
import type { ListeningSocket } from '../native/listening.ts'
import type { Users } from '../users/users.ts'
import type { ForwardState, Forwards } from './forwards.ts'
import { findOwners, type Owner, stillHolds } from './owner.ts'
import { isLoopback, type Reach, reachOf } from './reach.ts'
import type { ReadSockets } from './read-sockets.ts'

/** What is known of a listener; another object as soon as something of it changes. */
export interface ListeningPort {
  /** The same for the life of the socket. */
  readonly id: string
  readonly socket: ListeningSocket
  /** When it was first seen, in milliseconds by the wall clock. */
  readonly since: number
  readonly owner: Owner | undefined
  /** Name of the socket's user. */
  readonly user: string
  readonly reach: Reach
}

interface PortTableDeps {
  readonly readSockets: ReadSockets
  readonly forwards: Forwards
  readonly users: Pick<Users, 'nameOf'>
  readonly log: Log
}

/**
 * Between two scans. Less than the second within which a change is to be reported, as the scan itself takes its time.
 */
const INTERVAL_MS = 900

/** A listener is reported without its owner when looking for that takes longer. */
const SEARCH_LIMIT_MS = 500

/** Owners and names that are looked up at a time: more would fill the thread pool's queue, and memory. */
const CHECKS_AT_ONCE = 64

/** Searches for one owner: a server may have been about to leave its socket to a child when the first one passed by. */
const MAX_SEARCHES = 3

interface Entry {
  readonly socket: ListeningSocket
  readonly since: number
  owner: Owner | undefined
  user: string
  searches: number
  /** What was published last; undefined: its first search is not over. */
  shown: ListeningPort | undefined
}

/** The listeners of the sandbox, kept up to date by a scan each second, which drives the forwards as well. */
export class PortTable {
  readonly #deps: PortTableDeps
  readonly #over = new AbortController()
  readonly #entries = new Map<string, Entry>()
  /** The listeners as of the last scan, by port and address. */
  readonly listeners = new Observable<readonly ListeningPort[]>([])
  #ownPort = 0
  /** One scan that begins after the call, shared by all who wait for it. */
  readonly #scanSoon = createNextRun(() => this.#scan())
  /** The same for a check of the owners. */
  readonly #checkOwnersSoon = createNextRun(() => this.#forgetOwners())
  #search: Promise<void> | undefined
  #unreadable = false

  /** Does nothing until started. */
  constructor(deps: PortTableDeps) {
    this.#deps = deps
  }

  /** Scans from now on. @param ownPort the daemon's port, which is never forwarded (contract G8). */
  start(ownPort: number): void {
    this.#ownPort = ownPort
    void this.#scanOnAndOn()
  }

  /** The sockets of the clients of all forwards. */
  get clients(): Iterable<Socket> {
    return this.#deps.forwards.clients
  }

  /** The forwarded ports that clients are connected to, with the number of connections. */
  get connections(): ReadonlyMap<number, number> {
    const counts = new Map<number, number>()
    for (const { localPort } of this.#deps.forwards.clients)
      if (localPort !== undefined) counts.set(localPort, (counts.get(localPort) ?? 0) + 1)
    return counts
  }

  /** When such a connection began or ended last, on the clock of performance.now(); undefined: never. */
  get lastConnection(): number | undefined {
    return this.#deps.forwards.lastConnection
  }

  /** How it stands with forwarding itself. */
  get forwarding(): ForwardState {
    return this.#deps.forwards.state
  }

  /** Ends the scans, the forwards and their connections. Idempotent. */
  async close(): Promise<void> {
    this.#over.abort()
    this.#deps.forwards.close()
    await this.#scanSoon()
    await this.#checkOwnersSoon()
    await this.#search
  }

  /** The listeners as they are now, with owners that still hold their sockets. Never rejects. */
  async fresh(): Promise<readonly ListeningPort[]> {
    await this.#scanSoon()
    await this.#checkOwnersSoon()
    this.#searchOwners()
    await this.#search
    return this.listeners.value
  }

  async #scanOnAndOn(): Promise<void> {
    const { signal } = this.#over
    while (!signal.aborted) {
      await this.#scanSoon()
      await setTimeout(INTERVAL_MS, undefined, { signal, ref: false }).catch(() => {})
    }
  }

  async #scan(): Promise<void> {
    if (this.#over.signal.aborted) return
    const { forwards } = this.#deps
    const found = await this.#read()
    if (found !== undefined) this.#merge(found)
    const wanted = [...this.#entries.values()].map(({ socket }) => socket)
    await forwards.sync(wanted.filter((socket) => isLoopback(socket) && socket.port !== this.#ownPort))
    this.#searchOwners()
    this.#publish()
  }

  /** The sockets that listen; undefined when they cannot be read, which is not the same as that there are none. */
  async #read(): Promise<Map<string, ListeningSocket> | undefined> {
    const { readSockets, log } = this.#deps
    try {
      const found = byId(await readSockets())
      // A long listing may leave one out while others come and go.
      if ([...this.#entries.keys()].some((id) => !found.has(id)))
        for (const [id, socket] of byId(await readSockets())) found.set(id, socket)
      this.#unreadable = false
      return found
    } catch (error) {
      if (!this.#unreadable)
        log.warn({ error: String(error) }, 'cannot list the listening sockets: what is known of them stays')
      this.#unreadable = true
      return undefined
    }
  }

  #merge(found: ReadonlyMap<string, ListeningSocket>): void {
    for (const id of this.#entries.keys()) if (!found.has(id)) this.#entries.delete(id)
    for (const [id, socket] of found) {
      if (this.#entries.has(id) || this.#deps.forwards.isOwn(socket)) continue
      const since = Date.now()
      this.#entries.set(id, { socket, since, owner: undefined, user: '', searches: 0, shown: undefined })
    }
  }

  /** Owners whose process has closed the socket, or ended, are to be looked for anew. */
  async #forgetOwners(): Promise<void> {
    const check = async (entry: Entry) => {
      const { owner, socket } = entry
      if (owner === undefined || (await stillHolds(owner, socket.inode))) return
      entry.owner = undefined
      entry.searches = 0
    }
    if (this.#over.signal.aborted) return
    await forEachLimited([...this.#entries.values()], CHECKS_AT_ONCE, check)
  }

  /** Looks for the owners that are not known, unless a search is under way. */
  #searchOwners(): void {
    this.#search ??= this.#searchAll().finally(() => {
      this.#search = undefined
    })
  }

  async #searchAll(): Promise<void> {
    let limit = MAX_SEARCHES
    for (;;) {
      const unknown = [...this.#entries.values()].filter(({ owner, searches }) => !owner && searches < limit)
      if (unknown.length === 0 || this.#over.signal.aborted) return
      await this.#searchFor(unknown)
      // What has come meanwhile must not wait for the next scan; what was not found must.
      limit = 1
    }
  }

  async #searchFor(entries: readonly Entry[]): Promise<void> {
    const { signal } = this.#over
    const { users } = this.#deps
    const inodes = new Set(entries.map(({ socket }) => socket.inode))
    const owners = await findOwners(inodes, { limitMs: SEARCH_LIMIT_MS, signal })
    const names = new Map<number, string>()
    await forEachLimited([...new Set(entries.map(({ socket }) => socket.uid))], CHECKS_AT_ONCE, async (uid) => {
      names.set(uid, await users.nameOf(uid).catch(() => String(uid)))
    })
    for (const entry of entries) {
      entry.owner = owners.get(entry.socket.inode)
      entry.user = names.get(entry.socket.uid) ?? ''
      entry.searches++
    }
    this.#publish()
  }

  #publish(): void {
    const listeners = [...this.#entries]
      .filter(([, { searches, shown }]) => searches > 0 || shown !== undefined)
      .map(([id, entry]) => this.#show(id, entry))
      .sort((a, b) => a.socket.port - b.socket.port || (a.socket.address < b.socket.address ? -1 : 1))
    const known = this.listeners.value
    if (listeners.length === known.length && listeners.every((listener, index) => listener === known[index])) return
    this.listeners.set(listeners)
  }

  #show(id: string, entry: Entry): ListeningPort {
    const { socket, since, owner, user, shown } = entry
    const reach = reachOf(socket, this.#forwardOf(socket))
    const same = shown?.owner === owner && shown?.user === user && shown?.reach.state === reach.state
    if (same && shown !== undefined) return shown
    entry.shown = { id, socket, since, owner, user, reach }
    return entry.shown
  }

  #forwardOf({ port }: ListeningSocket): ForwardState {
    return port === this.#ownPort ? { why: "the port is the daemon's own" } : this.#deps.forwards.stateOf(port)
  }
}

function byId(sockets: readonly ListeningSocket[]): Map<string, ListeningSocket> {
  return new Map(sockets.map((socket) => [`${socket.inode} ${socket.address} ${socket.port}`, socket]))
}
