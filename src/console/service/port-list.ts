import type { Listener, WatchResponse } from '../../gen/ports/ports_pb.js'

/** Sockets that listen, by their inodes. */
export type Listeners = ReadonlyMap<bigint, Listener>

/** What a message of `ports.Ports/Watch` makes of what was known. A snapshot in pieces adds its pieces. */
export function withEvent(listeners: Listeners, { event }: WatchResponse): Listeners {
  const result = new Map(listeners)
  if (event.case === 'snapshot') for (const listener of event.value.listeners) result.set(listener.inode, listener)
  if (event.case === 'opened' || event.case === 'changed') result.set(event.value.inode, event.value)
  if (event.case === 'closed') result.delete(event.value.inode)
  return result
}

/** A port and all that listens on it. */
export interface Port {
  readonly port: number
  readonly listeners: readonly Listener[]
}

/** Ports in order: a server that listens on IPv4 and IPv6 is one. */
export function portsOf(listeners: Listeners): Port[] {
  const byPort = Map.groupBy(listeners.values(), ({ port }) => port)
  return [...byPort].map(([port, all]) => ({ port, listeners: all })).sort((a, b) => a.port - b.port)
}
