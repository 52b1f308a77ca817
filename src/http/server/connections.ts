import type { Socket } from 'node:net'
import { LinkedList, type Place } from '../../lib/linked-list.ts'
import { isLoopback } from '../access/trusted-names.ts'

/** The connections of a listener: who they belong to, what they do, and which one makes room for another. */
export interface Connections {
  /**
   * Counts a new connection. At the limit another one is destroyed for it; false if there is none, and nothing is
   * counted.
   */
  add(socket: Socket): boolean
  /**
   * The connection takes `places` in the limit instead of one, where it allows 1,024 of them; others, or it itself, are
   * destroyed for that.
   */
  enlarge(socket: Socket, places: number): void
  /** Makes `name`, such as an HTTP/2 session or stream, stand for what `known` stands for in the calls below. */
  alias(name: object, known: object): void
  /** Ends `alias`. */
  forget(name: object): void
  /** A call has begun, or ended, on the connection. What is not open any more is ignored. */
  began(connection: object): void
  ended(connection: object): void
  /** A request on the connection has shown the access token. */
  showedToken(connection: object): void
  hasShownToken(connection: object): boolean
}

/** What decides who stays. */
interface ConnectionsOptions {
  /** Connections at a time. */
  readonly limit: number
  /** Whether a token is set: calls of connections that have not shown it may then be ended too. */
  readonly tokenIsSet: () => boolean
  /** A connection makes room for another; or, with false, there was none to be ended. */
  readonly onFull: (madeRoom: boolean) => void
}

/** The lower ones make room first. */
const STANDING = { unknown: 0, loopback: 1, token: 2 } as const
type Standing = (typeof STANDING)[keyof typeof STANDING]

interface Entry {
  readonly socket: Socket
  readonly peer: string
  /** When it was counted, on the clock of performance.now(). */
  readonly came: number
  standing: Standing
  calls: number
  places: number
  /** Undefined: it is open no more. */
  group: Group | undefined
  place: Place<Entry> | undefined
}

/** Connections of one peer with the same standing, each list in the order in which they came to be so. */
interface Group {
  readonly key: string
  readonly standing: Standing
  readonly silent: LinkedList<Entry>
  readonly busy: LinkedList<Entry>
}

/**
 * A connection so young may have had no turn of the event loop in which it could say what it wants, and makes no room:
 * where all others are busy, those that come together would end one another, health checks among them. So many at most,
 * so that of a storm of silent ones the oldest make room.
 */
const YOUNG_MS = 100
const MAX_YOUNG = 16

/** Connections that may have several places each. */
const MIN_LARGE = 1024

/** Makes an empty table. */
export function createConnections({ limit, tokenIsSet, onFull }: ConnectionsOptions): Connections {
  const entries = new WeakMap<object, Entry>()
  const groups = new Map<string, Group>()
  let open = 0
  const change = (connection: object, work: (entry: Entry) => void) => {
    const entry = entries.get(connection)
    if (entry === undefined || !displace(groups, entry)) return
    work(entry)
    place(groups, entry)
  }
  const remove = (entry: Entry) => {
    if (displace(groups, entry)) open -= entry.places
  }
  const makeRoom = () => {
    const victim = victimOf(groups.values(), tokenIsSet())
    onFull(victim !== undefined)
    if (victim !== undefined) remove(victim)
    return victim?.socket.destroy() !== undefined
  }
  return {
    add: (socket) => {
      if (open >= limit && !makeRoom()) return false
      const entry = entryOf(socket)
      entries.set(socket, entry)
      place(groups, entry)
      open++
      socket.once('close', () => remove(entry))
      return true
    },
    enlarge: (socket, places) => {
      const more = Math.min(places, Math.floor(limit / MIN_LARGE)) - 1
      if (more <= 0 || socket.destroyed) return
      open += more
      change(socket, (entry) => (entry.places += more))
      while (open > limit && makeRoom()) {}
      if (open > limit) socket.destroy()
    },
    alias: (name, known) => aliasIn(entries, name, known),
    forget: (name) => void entries.delete(name),
    began: (connection) => count(entries.get(connection), 1),
    ended: (connection) => count(entries.get(connection), -1),
    showedToken: (connection) => {
      if (entries.get(connection)?.standing === STANDING.token) return
      change(connection, (entry) => (entry.standing = STANDING.token))
    },
    hasShownToken: (connection) => entries.get(connection)?.standing === STANDING.token,
  }
}

function aliasIn(entries: WeakMap<object, Entry>, name: object, known: object): void {
  const entry = entries.get(known)
  if (entry !== undefined) entries.set(name, entry)
}

function entryOf(socket: Socket): Entry {
  const address = socket.remoteAddress ?? ''
  const standing = isLoopback(address) ? STANDING.loopback : STANDING.unknown
  const own = { socket, peer: peerOf(address), came: performance.now() }
  return { ...own, standing, calls: 0, places: 1, group: undefined, place: undefined }
}

/** What leaves it in its group, and has it at the end of its list. */
function count(entry: Entry | undefined, calls: number): void {
  if (entry?.group === undefined) return
  takeOut(entry, entry.group)
  entry.calls += calls
  putIn(entry, entry.group)
}

const keyOf = ({ standing, peer }: Entry) => `${standing} ${peer}`

function place(groups: Map<string, Group>, entry: Entry): void {
  const key = keyOf(entry)
  const made = { key, standing: entry.standing, silent: new LinkedList<Entry>(), busy: new LinkedList<Entry>() }
  const group = groups.get(key) ?? made
  groups.set(key, group)
  entry.group = group
  putIn(entry, group)
}

function putIn(entry: Entry, group: Group): void {
  entry.place = (entry.calls > 0 ? group.busy : group.silent).push(entry)
}

function takeOut({ place, calls }: Entry, group: Group): void {
  if (place !== undefined) (calls > 0 ? group.busy : group.silent).delete(place)
}

/** False: it is not there any more. */
function displace(groups: Map<string, Group>, entry: Entry): boolean {
  const { group } = entry
  if (group === undefined) return false
  takeOut(entry, group)
  entry.group = undefined
  if (sizeOf(group) === 0) groups.delete(group.key)
  return true
}

/**
 * Of the lowest standing, and there of the peer that has most connections: the one that has been silent for longest. If
 * that peer has none, its newest call without the token; an older one may be a signed transfer that began before
 * whatever fills the table.
 */
function victimOf(groups: Iterable<Group>, mayEndCalls: boolean): Entry | undefined {
  let found: Group | undefined
  for (const group of groups) {
    const endable = group.silent.size > 0 || (mayEndCalls && group.standing !== STANDING.token)
    if (!endable || (found !== undefined && group.standing > found.standing)) continue
    if (found === undefined || group.standing < found.standing || sizeOf(group) > sizeOf(found)) found = group
  }
  if (found === undefined) return undefined
  const { silent, busy } = found
  const { first } = silent
  const isYoung = first !== undefined && silent.size <= MAX_YOUNG && performance.now() - first.came < YOUNG_MS
  return isYoung ? undefined : (first ?? busy.last)
}

function sizeOf({ silent, busy }: Group): number {
  return silent.size + busy.size
}

/** An IPv4 address, or the /64 of an IPv6 one: every address in it may be the same machine. */
export function peerOf(address: string): string {
  const mapped = /^::ffff:([\d.]+)$/i.exec(address)?.[1]
  if (mapped !== undefined || !address.includes(':')) return mapped ?? address
  const [head = '', tail] = address.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - before.length - after.length }, () => '0')
  return [...before, ...zeros, ...after].slice(0, 4).join(':')
}
