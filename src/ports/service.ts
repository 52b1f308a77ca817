import { isIPv6 } from 'node:net'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromMs } from '@bufbuild/protobuf/wkt'
import type { Caller, StreamCaller } from '../calls/caller.ts'
import { Family, type Filter, type ListenerSchema } from '../gen/ports/ports_pb.js'
import { loopTurns } from '../lib/turns.ts'
import type { ListeningPort, PortTable } from './port-table.ts'

/** A listener as clients receive it. */
type ListenerMessage = MessageInitShape<typeof ListenerSchema>

/** One item of a watch stream. The snapshot comes first. */
export type PortItem =
  | { readonly kind: 'snapshot'; readonly listeners: ListenerMessage[]; readonly more: boolean }
  | { readonly kind: 'opened' | 'closed' | 'changed'; readonly listener: ListenerMessage }
  | { readonly kind: 'keepalive' }

/** The calls of `ports.Ports`. */
export type PortsService = ReturnType<typeof createPortsService>

/** Which listeners a client wants; undefined: all. */
type PortFilter = Pick<Filter, 'port' | 'command'> | undefined

/**
 * Makes the service.
 * @param options showArguments: clients are sent the arguments of processes.
 */
export function createPortsService(table: PortTable, options: { readonly showArguments: boolean }) {
  const toMessage = (listener: ListeningPort) => messageOf(listener, options.showArguments)
  // Hundreds may wait for the same, and each looks at all of it.
  const freshFor = async (caller: object) => {
    const listeners = await table.fresh()
    await loopTurns.turn(caller)
    return listeners
  }
  return {
    /** The listeners that the filter chooses, as they are now. */
    async *list(filter: PortFilter, caller: Caller): AsyncGenerator<ListenerMessage[], void> {
      const listeners = await freshFor(caller)
      for (const part of partsOf(chosen(listeners, filter))) yield part.map(toMessage)
    },

    /**
     * The listeners that the filter chooses, then what changes of them. Rejects with the reason of the caller's signal.
     */
    async *watch(filter: PortFilter, caller: StreamCaller): AsyncGenerator<PortItem, void> {
      let seen = await freshFor(caller)
      let sent = chosen(seen, filter)
      yield* snapshots(sent, toMessage)
      for (;;) {
        if (!(await table.listeners.changed(seen, caller.keepalive, caller.signal))) yield { kind: 'keepalive' }
        await loopTurns.turn(caller)
        seen = table.listeners.value
        const now = chosen(seen, filter)
        yield* differences(sent, now, toMessage)
        sent = now
      }
    },
  }
}

function chosen(listeners: readonly ListeningPort[], filter: PortFilter): readonly ListeningPort[] {
  if (filter === undefined) return listeners
  const { port, command } = filter
  return listeners.filter(
    ({ socket, owner }) => (port === 0 || socket.port === port) && (command === '' || owner?.command === command),
  )
}

type ToMessage = (listener: ListeningPort) => ListenerMessage

/** Listeners in one message: encoding more would take milliseconds at a time. */
const SNAPSHOT_LISTENERS = 200

function* partsOf(listeners: readonly ListeningPort[]): Generator<readonly ListeningPort[], void> {
  let at = 0
  do {
    yield listeners.slice(at, at + SNAPSHOT_LISTENERS)
    at += SNAPSHOT_LISTENERS
  } while (at < listeners.length)
}

function* snapshots(listeners: readonly ListeningPort[], toMessage: ToMessage): Generator<PortItem, void> {
  let left = listeners.length
  for (const part of partsOf(listeners)) {
    left -= part.length
    yield { kind: 'snapshot', listeners: part.map(toMessage), more: left > 0 }
  }
}

function* differences(
  before: readonly ListeningPort[],
  now: readonly ListeningPort[],
  toMessage: ToMessage,
): Generator<PortItem, void> {
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

function messageOf({ socket, since, owner, user, reach }: ListeningPort, showArguments: boolean): ListenerMessage {
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
    args: showArguments ? [...(owner?.args ?? [])] : [],
  }
}
