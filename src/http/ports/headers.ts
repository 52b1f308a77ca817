import type { IncomingMessage } from 'node:http'
import type { PortTarget } from './target.ts'

/** Of the connection, and not of the message (RFC 9110 7.6.1). Trailers are left out, as a relay may. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * For the daemon alone: its token, and what it was led by. `expect` was answered before the request came here, and the
 * length is set anew.
 */
const OWN = new Set(['x-access-token', 'e2b-sandbox-port', 'e2b-sandbox-id', 'expect', 'host', 'content-length'])

/** Set anew from what the connection shows; what proxies in front have said stays in front. */
const FORWARDED = new Set(['x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-forwarded-prefix'])

/** Beginning of the names of cookies by which browsers are let in (`access.ts`). */
export const COOKIE_PREFIX = 'envd-port-'

/** What an app must not do on the daemon's origin: take requests outside of its own path into its service worker. */
const REFUSED = new Set(['service-worker-allowed'])

/**
 * What an app must not do on the daemon's origin when a browser takes its pages for those of the daemon: share a window
 * with the console, which has the same policy for its opener (HTML, 7.1.3), and clear what other ports have kept.
 */
const REFUSED_BY_PATH = new Set(['cross-origin-opener-policy', 'clear-site-data'])

type Fields = readonly (readonly [name: string, value: string])[]

/** The header fields as they came, without those of the connection. */
function endToEnd(rawHeaders: readonly string[]): Fields {
  const fields: [string, string][] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) fields.push([rawHeaders[i] ?? '', rawHeaders[i + 1] ?? ''])
  const named = fields
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map((option) => option.trim().toLowerCase()))
  const dropped = new Set([...HOP_BY_HOP, ...named])
  return fields.filter(([name]) => !name.startsWith(':') && !dropped.has(name.toLowerCase()))
}

/**
 * What a request is sent on with, names and values in turn: everything but what is of the connection or for the daemon.
 * A Basic authorization without a password is how clients name their user to the daemon; any other is for the app.
 */
export function requestHeaders(request: IncomingMessage, target: PortTarget): string[] {
  const { headers, rawHeaders, socket } = request
  const host = headers.host ?? String(headers[':authority'] ?? `localhost:${target.port}`)
  const cookies: string[] = []
  const kept: [string, string][] = []
  for (const [name, value] of endToEnd(rawHeaders)) {
    const lower = name.toLowerCase()
    // HTTP/2 may split them (RFC 9113 8.2.3), HTTP/1.1 has one field.
    if (lower === 'cookie') cookies.push(...appCookies(value))
    else if (!OWN.has(lower) && !FORWARDED.has(lower) && !(lower === 'authorization' && namesUser(value)))
      kept.push([name, value])
  }
  const peer = socket.remoteAddress ?? ''
  const before = headers['x-forwarded-for']
  return [
    ['Host', host],
    ...kept,
    ...(cookies.length === 0 ? [] : [['Cookie', cookies.join('; ')]]),
    ['X-Forwarded-For', before === undefined ? peer : `${String(before)}, ${peer}`],
    ['X-Forwarded-Host', single(headers['x-forwarded-host']) ?? host],
    ['X-Forwarded-Proto', single(headers['x-forwarded-proto']) ?? 'http'],
    ...(target.prefix === '' ? [] : [['X-Forwarded-Prefix', target.prefix]]),
  ].flat()
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}

function appCookies(value: string): string[] {
  const cookies = value.split(';').map((cookie) => cookie.trim())
  return cookies.filter((cookie) => cookie !== '' && !cookie.startsWith(COOKIE_PREFIX))
}

function namesUser(authorization: string): boolean {
  const encoded = /^basic ([a-z0-9+/=]+)$/i.exec(authorization)?.[1]
  return encoded !== undefined && Buffer.from(encoded, 'base64').toString().endsWith(':')
}

/** How the body of a request is sent on: by its length, in chunks, or not at all. */
export function bodyHeaders(request: IncomingMessage): string[] {
  const { 'content-length': length, 'transfer-encoding': coding } = request.headers
  if (length !== undefined) return ['Content-Length', length]
  // A request of HTTP/2 says by its end whether there is a body, and one without a length may have one.
  const streamed = request.httpVersionMajor === 2 && !request.complete && request.method !== 'GET'
  return coding !== undefined || streamed ? ['Transfer-Encoding', 'chunked'] : []
}

/**
 * What the answer of a port is sent on with: links to its own root, and the paths of its cookies, lead below the
 * prefix.
 */
export function responseHeaders(response: IncomingMessage, { port, prefix, byPath }: PortTarget): Fields {
  const refused = (name: string) => REFUSED.has(name) || (byPath && REFUSED_BY_PATH.has(name))
  return endToEnd(response.rawHeaders)
    .filter(([name]) => !refused(name.toLowerCase()))
    .filter(([name, value]) => name.toLowerCase() !== 'set-cookie' || !value.trimStart().startsWith(COOKIE_PREFIX))
    .map(([name, value]) => {
      const lower = name.toLowerCase()
      if (prefix !== '' && lower === 'location') return [name, located(value, port, prefix)]
      if (prefix !== '' && lower === 'set-cookie') return [name, value.replace(/(;\s*path=)\//i, `$1${prefix}/`)]
      return [name, value]
    })
}

function located(location: string, port: number, prefix: string): string {
  const local = new RegExp(`^https?://(?:localhost|127\\.0\\.0\\.1|\\[::1\\]):${port}(?=/|$)`).exec(location)?.[0] ?? ''
  const path = location.slice(local.length) || '/'
  return path.startsWith('/') && !path.startsWith('//') ? prefix + path : location
}
