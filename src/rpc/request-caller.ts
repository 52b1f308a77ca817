import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { HandlerContext } from '@connectrpc/connect'
import type { Caller, StreamCaller } from '../calls/caller.ts'
import { basicUsername } from '../http/access/basic-user.ts'
import { untilParsed } from '../http/body/read-body.ts'
import { connectionOf } from '../http/server/connection.ts'
import type { CallEnd } from './call-end.ts'
import { singleHeader } from './guard.ts'
import { keepaliveInterval } from './keepalive.ts'
import { connectionKey, operationKey } from './operation.ts'
import type { RawResponse } from './stream-writer.ts'

/** A request as it has come, whatever has read its headers. */
export interface CallRequest {
  readonly id: string
  readonly headers: IncomingHttpHeaders
  readonly raw: IncomingMessage
}

/** A call, and what answers it. */
export interface CallExchange {
  readonly request: CallRequest
  readonly response: RawResponse
  /** When it came, if its user was looked up since. */
  readonly since?: number
}

/** Waits for what has come of the body. The user of a call whose body comes later may be another one by then. */
export async function awaitArrival({ raw }: CallRequest, over: CallEnd): Promise<void> {
  if (raw.httpVersionMajor === 1 && !raw.complete) await untilParsed(raw)
  if (!raw.complete) over.since = undefined
}

/** How long a call lasts. */
interface CallSpan {
  readonly signal: AbortSignal
  /** As those of `Caller`. */
  readonly isOver?: () => boolean
  readonly since?: number | undefined
}

/** The caller of a request that is served here. */
export function requestCaller(request: CallRequest, over: CallSpan): Caller {
  return new RequestCaller(request, over)
}

/**
 * Asks for the signal when it is asked for. In a class: V8 makes a hidden class for each object that has a getter of
 * its own, which stays, with all that the getter knows, until the whole heap is collected.
 */
class RequestCaller implements Caller {
  readonly user: string | undefined
  readonly since: number | undefined
  readonly userAgent: string
  readonly connection: object | undefined
  readonly operationId: string
  readonly #headers: IncomingHttpHeaders
  readonly #over: CallSpan

  constructor({ headers, raw, id }: CallRequest, over: CallSpan) {
    this.user = basicUsername(headers.authorization)
    this.since = over.since
    this.userAgent = headers['user-agent'] ?? ''
    this.connection = connectionOf(raw)
    this.operationId = id
    this.#headers = headers
    this.#over = over
  }

  get signal(): AbortSignal {
    return this.#over.signal
  }

  readonly isOver = () => this.#over.isOver?.() ?? this.#over.signal.aborted

  readonly header = (name: string) => singleHeader(this.#headers[name])
}

/** The same for a server stream. */
export function streamCaller(caller: Caller, deadline: number | undefined): StreamCaller {
  const { signal } = caller
  return { ...caller, signal, keepalive: keepaliveInterval(caller.header('keepalive-ping-interval')), deadline }
}

/** The caller of a call that the library serves. */
export function callerOf({ requestHeader, signal, values }: HandlerContext): Caller {
  const header = (name: string) => requestHeader.get(name) ?? undefined
  const [connection, operationId] = [values.get(connectionKey), values.get(operationKey)]
  const [user, userAgent] = [basicUsername(header('authorization')), header('user-agent') ?? '']
  return { user, signal, userAgent, header, connection, operationId }
}

/** The same for a server stream. */
export function streamCallerOf(context: HandlerContext): StreamCaller {
  const left = context.timeoutMs()
  return streamCaller(callerOf(context), left === undefined ? undefined : performance.now() + left)
}
