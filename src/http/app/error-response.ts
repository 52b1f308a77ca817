import type { Http2ServerResponse } from 'node:http2'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { AppError, type ErrorKind } from '../../errors.ts'
import { errorFields } from '../../lib/error-fields.ts'
import { messageText } from '../../lib/message-text.ts'
import type { Log } from '../../log.ts'
import { errorBody } from './error-body.ts'
import { pathOf } from './path.ts'

const STATUS: Record<ErrorKind, number> = {
  canceled: 499,
  unknown: 500,
  invalid_argument: 400,
  deadline_exceeded: 504,
  not_found: 404,
  already_exists: 409,
  permission_denied: 403,
  resource_exhausted: 429,
  failed_precondition: 400,
  out_of_range: 400,
  aborted: 409,
  unimplemented: 501,
  internal: 500,
  unavailable: 503,
  unauthenticated: 401,
  budget_spent: 503,
  too_large: 413,
  stalled: 408,
  no_space: 507,
  not_acceptable: 406,
  condition_failed: 412,
  unsupported_type: 415,
  locked: 423,
  checksum_mismatch: 460,
}

/** Of an answer that the byte budget refused: what waits is as a rule gone by then. */
export const RETRY_AFTER_SECONDS = 1

/** The HTTP status of an error kind (contract A27); Connect has no code for those below `unauthenticated`. */
export function statusOf(kind: ErrorKind): number {
  return STATUS[kind]
}

/** Answers with a status and the JSON error body that clients read the message from. */
function sendError(reply: FastifyReply, status: number, message: string): void {
  reply
    .code(status)
    .header('content-type', 'application/json; charset=utf-8')
    .header('x-content-type-options', 'nosniff')
    .send(errorBody(status, message))
}

/**
 * Makes Fastify's error handler, where every failure of an HTTP route ends: an AppError is shown as it is; Fastify's
 * own refusals (a bad URL, an unreadable content type) keep their status; everything else is logged, once, and shown as
 * "internal error". A connection whose client has left is only closed.
 */
export function createErrorHandler(log: Log): (error: unknown, request: FastifyRequest, reply: FastifyReply) => void {
  return (error, request, reply) => {
    // The connection has answered a malformed body already.
    if (reply.raw.writableEnded) return
    if (error instanceof AppError) {
      if (error.kind === 'budget_spent' && refusedWithoutBody(reply)) return
      if (error.kind === 'budget_spent') reply.header('retry-after', RETRY_AFTER_SECONDS)
      return sendError(reply, statusOf(error.kind), error.message)
    }
    if (request.raw.destroyed || reply.raw.destroyed) return void reply.raw.destroy()
    const status = clientFaultOf(error)
    if (status !== undefined && error instanceof Error) return sendError(reply, status, messageText(error.message))
    log.error(
      { operation_id: request.id, method: request.method, path: pathOf(request.url), ...errorFields(error) },
      'a request failed unexpectedly',
    )
    sendError(reply, 500, 'internal error')
  }
}

function clientFaultOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('statusCode' in error)) return undefined
  const status = error.statusCode
  return typeof status === 'number' && status >= 400 && status < 500 ? status : undefined
}

/**
 * A client of HTTP/2 that opens streams without a window for their answers gets headers alone, which need none: else
 * each refusal would wait in memory, too. Returns whether that was so.
 */
function refusedWithoutBody(reply: FastifyReply): boolean {
  // Fastify's type is that of HTTP/1.1; over HTTP/2 it is Node's compatible class.
  const { stream } = reply.raw as unknown as Partial<Http2ServerResponse>
  if (stream === undefined || stream.destroyed || stream.session?.remoteSettings.initialWindowSize !== 0) return false
  reply.hijack()
  stream.respond(
    { ':status': statusOf('budget_spent'), 'retry-after': String(RETRY_AFTER_SECONDS) },
    { endStream: true },
  )
  return true
}
