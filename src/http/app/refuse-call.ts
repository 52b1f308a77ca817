import type { FastifyReply, FastifyRequest } from 'fastify'
import type { AppError, ErrorKind } from '../../errors.ts'
import { messageText } from '../../lib/message-text.ts'
import { statusOf } from './error-response.ts'

/** gRPC's numbers of what is refused before a call begins. */
const GRPC_STATUS: Partial<Record<ErrorKind, number>> = {
  invalid_argument: 3,
  budget_spent: 8,
  internal: 13,
  unauthenticated: 16,
}
const GRPC_UNKNOWN = 2

/** UTF-16 units of a message in a gRPC header, which is percent-encoded: below the 16 KiB that clients take. */
const MAX_GRPC_MESSAGE = 1000

/**
 * Answers a request of an RPC with an error in the shape that its content type asks for. Nothing may have been sent
 * yet.
 */
export function refuseCall(request: FastifyRequest, reply: FastifyReply, { kind, message }: AppError): void {
  const contentType = request.headers['content-type'] ?? ''
  const error = JSON.stringify({ code: kind, message })
  if (contentType.startsWith('application/grpc')) {
    // A response of headers alone: over HTTP/2 they must end the stream themselves, which only an end without a body
    // does.
    reply.raw.setHeader('content-type', contentType)
    reply.raw.setHeader('grpc-status', String(GRPC_STATUS[kind] ?? GRPC_UNKNOWN))
    reply.raw.setHeader('grpc-message', encodeURIComponent(messageText(message, MAX_GRPC_MESSAGE)))
    reply.hijack()
    reply.raw.end()
  } else if (contentType.startsWith('application/connect+')) {
    reply
      .code(200)
      .type(contentType)
      .send(endOfStream(`{"error":${error}}`))
  } else {
    reply.code(statusOf(kind)).header('content-type', 'application/json').send(Buffer.from(error))
  }
}

/** The last frame of a Connect stream: flags with bit 2 set, the length in four bytes, JSON. */
function endOfStream(json: string): Buffer {
  const payload = Buffer.from(json)
  const frame = Buffer.alloc(5 + payload.length)
  frame[0] = 2
  frame.writeUInt32BE(payload.length, 1)
  payload.copy(frame, 5)
  return frame
}
