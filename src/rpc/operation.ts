import { type ContextValues, createContextKey, createContextValues } from '@connectrpc/connect'
import type { FastifyRequest } from 'fastify'

/** Carries the number of a request through the library. */
export const operationKey = createContextKey('', { description: 'operation_id' })

/** What the library is to carry for a request, which is logged by the interceptor. */
export function operationValues(request: FastifyRequest): ContextValues {
  request.loggedElsewhere = true
  return createContextValues().set(operationKey, request.id)
}
