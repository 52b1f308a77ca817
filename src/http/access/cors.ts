import type { IncomingHttpHeaders, ServerResponse } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'

const METHODS = new Set(['HEAD', 'GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** Response headers that scripts of other origins may read (contract A30). */
const EXPOSED =
  'Grpc-Status, Grpc-Message, Grpc-Status-Details-Bin, Location, Cache-Control, X-Content-Type-Options, ETag, Idempotency-Replayed'

/** Seconds that a browser may keep a preflight's answer: the most that any of them honours. */
const MAX_AGE = '7200'

/**
 * Lets browsers of every origin in (contract A29, A30): marks the response, and answers a preflight at once. Headers go
 * to the raw response, so that they are there by whatever it is written.
 * @returns whether the request was a preflight and has got its answer.
 */
export function applyCors(request: FastifyRequest, reply: FastifyReply): boolean {
  const { origin } = request.headers
  const requested = request.headers['access-control-request-method']
  if (request.method === 'OPTIONS' && requested) {
    reply.raw.setHeader('vary', 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers')
    if (origin && METHODS.has(requested)) allowPreflight(request, reply, requested)
    reply.code(204).send()
    return true
  }
  letIn(request, reply.raw)
  return false
}

/** Marks the response to what is no preflight. */
export function letIn(
  { method, headers }: { readonly method?: string | undefined; readonly headers: IncomingHttpHeaders },
  response: ServerResponse,
): void {
  response.setHeader('vary', 'Origin')
  if (!headers.origin || !METHODS.has(method ?? '')) return
  response.setHeader('access-control-allow-origin', '*')
  response.setHeader('access-control-expose-headers', EXPOSED)
}

function allowPreflight(request: FastifyRequest, reply: FastifyReply, method: string): void {
  reply.raw.setHeader('access-control-allow-origin', '*')
  reply.raw.setHeader('access-control-allow-methods', method)
  const headers = request.headers['access-control-request-headers']
  if (headers) reply.raw.setHeader('access-control-allow-headers', headers)
  reply.raw.setHeader('access-control-max-age', MAX_AGE)
}
