import { type ContextValues, createContextKey, createContextValues } from '@connectrpc/connect'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { connectionOf } from '../http/server/connection.ts'

/** Carries the number of a request through the library. */
export const operationKey = createContextKey('', { description: 'operation_id' })

/** Carries the connection of a request through the library. */
export const connectionKey = createContextKey<object | undefined>(undefined, { description: 'connection' })

/** Carries a function that takes callbacks for the end of the response, whether its client took it or left. */
export const onClosedKey = createContextKey<(closed: () => void) => void>(() => {}, { description: 'on_closed' })

/** What the library is to carry for a request, which is logged by the interceptor. */
export function operationValues({
  request,
  reply,
}: {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
}): ContextValues {
  const response = reply.raw
  request.loggedElsewhere = true
  const onClosed = (closed: () => void) => {
    if (response.destroyed) closed()
    else response.once('close', closed)
  }
  return createContextValues()
    .set(operationKey, request.id)
    .set(connectionKey, connectionOf(request.raw))
    .set(onClosedKey, onClosed)
}
