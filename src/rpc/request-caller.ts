import type { HandlerContext } from '@connectrpc/connect'
import { basicUsername } from '../http/access/basic-user.ts'
import { EXCLUDE_HEADER } from '../watch/exclude-header.ts'
import type { Caller, StreamCaller } from './caller.ts'
import { keepaliveInterval } from './keepalive.ts'
import { connectionKey, operationKey } from './operation.ts'

/** The caller of a call that the library serves. */
export function callerOf({ requestHeader, signal, values }: HandlerContext): Caller {
  const user = basicUsername(requestHeader.get('authorization') ?? undefined)
  const userAgent = requestHeader.get('user-agent') ?? ''
  const watchExclude = requestHeader.get(EXCLUDE_HEADER) ?? undefined
  const [connection, operationId] = [values.get(connectionKey), values.get(operationKey)]
  return { user, signal, userAgent, watchExclude, connection, operationId }
}

/** The same for a server stream. */
export function streamCallerOf(context: HandlerContext): StreamCaller {
  const left = context.timeoutMs()
  return {
    ...callerOf(context),
    keepalive: keepaliveInterval(context.requestHeader.get('keepalive-ping-interval') ?? undefined),
    deadline: left === undefined ? undefined : performance.now() + left,
  }
}
