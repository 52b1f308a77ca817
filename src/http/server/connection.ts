import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'

/**
 * The connection of a request, the same object for all its requests: the socket, or with HTTP/2 the session, whose
 * `socket` Node makes anew for each stream. Undefined once the HTTP/2 stream was destroyed.
 */
export function connectionOf(request: IncomingMessage | Http2ServerRequest): object | undefined {
  return 'stream' in request ? request.stream.session : request.socket
}
