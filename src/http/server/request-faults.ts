import type { IncomingMessage } from 'node:http'

/**
 * Header fields of a request, of which Node drops what is too many. Clients send some dozens; tiny ones take far more
 * memory than bytes.
 */
export const MAX_HEADERS = 512

/**
 * What Node's parser lets through although the bytes of the request cannot be separated with certainty, or mean another
 * thing to a proxy: the status to refuse it with, else undefined.
 */
export function faultOf(request: IncomingMessage): number | undefined {
  const { httpVersionMajor, httpVersionMinor, headers, rawHeaders } = request
  if (httpVersionMajor > 1) return 505
  // A request line without a version is of HTTP/0.9, which is not supported.
  if (httpVersionMajor < 1) return 400
  // HTTP/1.0 has no chunks: an intermediary did not understand the body (RFC 9112 6.1).
  if (httpVersionMinor === 0 && headers['transfer-encoding'] !== undefined) return 400
  // Another coding below the chunks would be taken for the body itself (RFC 9112 6.1).
  if (/,\s*chunked$/i.test(headers['transfer-encoding'] ?? '')) return 501
  if (rawHeaders.length >= 2 * MAX_HEADERS) return 431
  // RFC 9112 3.2.
  return hosts(rawHeaders) > 1 ? 400 : undefined
}

const HOST = 'host'

function hosts(rawHeaders: readonly string[]): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length === HOST.length && name.toLowerCase() === HOST) count++
  }
  return count
}
