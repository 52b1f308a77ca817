import type { HandlerContext } from '@connectrpc/connect'
import type { FastifyRequest } from 'fastify'
import type { Caller, StreamCaller } from '../calls/caller.ts'
import { basicUsername } from '../http/access/basic-user.ts'
import { connectionOf } from '../http/server/connection.ts'
import { singleHeader } from './guard.ts'
import { keepaliveInterval } from './keepalive.ts'
import { connectionKey, operationKey } from './operation.ts'

/** The caller of a request that is served here. */
export function requestCaller({ headers, raw, id }: FastifyRequest, over: Pick<AbortController, 'signal'>): Caller {
  return {
    user: basicUsername(headers.authorization),
    userAgent: headers['user-agent'] ?? '',
    header: (name) => singleHeader(headers[name]),
    get signal() {
      return over.signal
    },
    connection: connectionOf(raw),
    operationId: id,
  }
}

/** The same for a server stream. */
export function streamCaller(caller: Caller, deadline: number | undefined): StreamCaller {
  return { ...caller, keepalive: keepaliveInterval(caller.header('keepalive-ping-interval')), deadline }
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
