import type { Caller } from './caller.ts'

/** A server stream that a client has open. */
export interface OpenedStream {
  /** `package.Service/Method`. */
  readonly method: string
  readonly userAgent: string
  /** Name of the user in the request; empty: the default user. */
  readonly user: string
  /** IP address of the client; empty: unknown. */
  readonly address: string
  /** The command that it follows, if it follows one. */
  readonly pid: number | undefined
  /** On the clock of performance.now(). */
  readonly since: number
}

/** The server streams that are open now. There are as many as connections let in. */
export interface OpenStreams extends Iterable<OpenedStream> {
  /** Takes in a stream; the function returned takes it out, as does the caller's signal. Idempotent. */
  add(method: string, caller: Caller, pid: number | undefined): () => void
  /** When one was opened or closed last, on the clock of performance.now(); undefined: never. */
  lastChange(method: (name: string) => boolean): number | undefined
}

/** UTF-16 units that are kept of a user agent, which a client chooses. */
const MAX_AGENT_LENGTH = 256

/** Makes an empty list. */
export function createOpenStreams(): OpenStreams {
  const open = new Set<OpenedStream>()
  // Time of the last change, by method: at most one entry a method.
  const changes = new Map<string, number>()
  return {
    [Symbol.iterator]: () => open.values(),
    lastChange: (chosen) => {
      const times = [...changes].filter(([name]) => chosen(name)).map(([, time]) => time)
      return times.length === 0 ? undefined : Math.max(...times)
    },
    add: (method, { user = '', userAgent, connection, signal }, pid) => {
      const since = performance.now()
      const agent = userAgent.slice(0, MAX_AGENT_LENGTH)
      const stream = { method, userAgent: agent, user, address: addressOf(connection), pid, since }
      const close = () => {
        signal.removeEventListener('abort', close)
        if (open.delete(stream)) changes.set(method, performance.now())
      }
      open.add(stream)
      changes.set(method, since)
      signal.addEventListener('abort', close)
      if (signal.aborted) close()
      return close
    },
  }
}

/** The peer of a socket, or of the socket of an HTTP/2 session. */
function addressOf(connection: object | undefined): string {
  const socket = connection !== undefined && 'socket' in connection ? connection.socket : connection
  if (typeof socket !== 'object' || socket === null) return ''
  // The socket of a session is a proxy, which does not say what it has.
  const { remoteAddress } = socket as { readonly remoteAddress?: unknown }
  return typeof remoteAddress === 'string' ? remoteAddress : ''
}
