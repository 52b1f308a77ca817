import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Users } from '../system/users.ts'

/**
 * The user that a request names: the username of its Basic authorization, possibly empty; the password means nothing.
 * Undefined without such a header, for any other scheme, and when the value is not `base64(name:password)` (contract A38).
 */
export function basicUsername(authorization: string | undefined): string | undefined {
  const match = /^basic ((?:[a-z0-9+/]{4})*(?:[a-z0-9+/]{2}==|[a-z0-9+/]{3}=)?)$/i.exec(authorization ?? '')
  if (match === null) return undefined
  const credentials = Buffer.from(match[1] ?? '', 'base64').toString()
  const colon = credentials.indexOf(':')
  return colon === -1 ? undefined : credentials.slice(0, colon)
}

/**
 * Refuses a request whose Basic username is no user of the sandbox, on every path (contract A39), with a Connect error in
 * the shape that its content type asks for.
 * @returns whether the request may go on; if not, it has got its answer.
 */
export async function checkBasicUser(request: FastifyRequest, reply: FastifyReply, users: Users): Promise<boolean> {
  const name = basicUsername(request.headers.authorization)
  if (name === undefined || (await users.find(name)) !== undefined) return true
  refuse(request.headers['content-type'] ?? '', reply, `invalid username: '${name}'`)
  return false
}

/** gRPC's number of `unauthenticated`. */
const GRPC_UNAUTHENTICATED = '16'

function refuse(contentType: string, reply: FastifyReply, message: string): void {
  const error = JSON.stringify({ code: 'unauthenticated', message })
  if (contentType.startsWith('application/grpc')) {
    // A response of headers alone: over HTTP/2 they must end the stream themselves, which only an end without a body does.
    reply.hijack()
    reply.raw.setHeader('content-type', contentType)
    reply.raw.setHeader('grpc-status', GRPC_UNAUTHENTICATED)
    reply.raw.setHeader('grpc-message', encodeURIComponent(message))
    reply.raw.end()
  } else if (contentType.startsWith('application/connect+')) {
    reply
      .code(200)
      .type(contentType)
      .send(endOfStream(`{"error":${error}}`))
  } else {
    reply.code(401).header('content-type', 'application/json').send(Buffer.from(error))
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
