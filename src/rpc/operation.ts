import { type ContextValues, createContextKey, createContextValues } from '@connectrpc/connect'
import type { FastifyRequest } from 'fastify'
import { connectionOf } from '../http/connection.ts'

/** Carries the number of a request through the library. */
export const operationKey = createContextKey('', { description: 'operation_id' })

/** Carries the connection of a request through the library. */
export const connectionKey = createContextKey<object | undefined>(undefined, { description: 'connection' })

/** What the library is to carry for a request, which is logged by the interceptor. */
export function operationValues(request: FastifyRequest): ContextValues {
  request.loggedElsewhere = true
  return createContextValues().set(operationKey, request.id).set(connectionKey, connectionOf(request.raw))
}
