import { isIPv6 } from 'node:net'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import { Family, type ListenerSchema } from '../../gen/ports/ports_pb.js'
import type { StreamCaller } from '../../rpc/caller.ts'
import type { Listener, PortTable } from './port-table.ts'

/** A listener as clients are told of it. */
export type ListenerMessage = MessageInitShape<typeof ListenerSchema>

/** One item of a watch stream. The snapshot comes first. */
export type PortItem =
  | { readonly kind: 'snapshot'; readonly listeners: ListenerMessage[]; readonly more: boolean }
  | { readonly kind: 'opened' | 'closed' | 'changed'; readonly listener: ListenerMessage }
  | { readonly kind: 'keepalive' }

/** The calls of `ports.Ports`. */
export type PortsService = ReturnType<typeof createPortsService>

/** Makes the service. */
export function createPortsService(table: PortTable) {
  return {
    /** All listeners, as they are now. */
    async list() {
      return (await table.fresh()).map(toMessage)
    },

    /** All listeners, then what changes. Rejects with the reason of the caller's signal. */
    async *watch(caller: StreamCaller): AsyncGenerator<PortItem, void> {
      let told = await table.fresh()
      yield* snapshots(told)
      for (;;) {
        if (!(await table.listeners.changed(told, caller.keepalive, caller.signal))) yield { kind: 'keepalive' }
        const now = table.listeners.value
        yield* differences(told, now)
        told = now
      }
    },
  }
}

/** Listeners in one message: encoding more would take milliseconds at a time. */
const SNAPSHOT_LISTENERS = 200

function* snapshots(listeners: readonly Listener[]): Generator<PortItem, void> {
  let at = 0
  do {
    const part = listeners.slice(at, at + SNAPSHOT_LISTENERS)
    at += SNAPSHOT_LISTENERS
    yield { kind: 'snapshot', listeners: part.map(toMessage), more: at < listeners.length }
  } while (at < listeners.length)
}

function* differences(before: readonly Listener[], now: readonly Listener[]): Generator<PortItem, void> {
  const left = new Map(before.map((listener) => [listener.id, listener]))
  const fresh: PortItem[] = []
  for (const listener of now) {
    const known = left.get(listener.id)
    left.delete(listener.id)
    if (known !== listener) fresh.push({ kind: known ? 'changed' : 'opened', listener: toMessage(listener) })
  }
  for (const listener of left.values()) yield { kind: 'closed', listener: toMessage(listener) }
  yield* fresh
}

function toMessage({ socket, since, owner, user, reach }: Listener): ListenerMessage {
  return {
    port: socket.port,
    address: socket.address,
    family: isIPv6(socket.address) ? Family.IPV6 : Family.IPV4,
    pid: owner?.pid ?? 0,
    command: owner?.command ?? '',
    user,
    since: timestampFromMs(since),
    forwarded: reach.forwardAddress !== '',
    forwardAddress: reach.forwardAddress,
    state: reach.state,
    inode: BigInt(socket.inode),
  }
}
