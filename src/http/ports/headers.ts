import type { IncomingMessage } from 'node:http'
import { appCookie, appCookies } from './cookies.ts'
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

/** What an app must not do on the daemon's origin: take requests outside of its own path into its service worker. */
const REFUSED = new Set(['service-worker-allowed'])

/**
 * What an app must not do on the daemon's origin when a browser takes its pages for those of the daemon, as browsers
 * keep it for the whole origin, the console and other ports included.
 */
const REFUSED_BY_PATH = new Set([
  // Shares a window with the console, which has the same policy for its opener (HTML, 7.1.3).
  'cross-origin-opener-policy',
  // Decides for all pages of the origin that come after it (HTML, 7.1.2).
  'origin-agent-cluster',
  // Clears what the console and other ports have kept.
  'clear-site-data',
  // Whether the host is reached by TLS (RFC 6797), and with which keys.
  'strict-transport-security',
  'public-key-pins',
  'expect-ct',
  // Leads the requests of the origin elsewhere (RFC 7838).
  'alt-svc',
  // Has failures of the origin's requests reported, with their addresses (Network Error Logging, Reporting 0).
  'nel',
  'report-to',
  // What browsers tell the origin of themselves from now on (RFC 8942), and whether its user is signed in (FedCM).
  'accept-ch',
  'set-login',
])

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
 * What the answer of a port is sent on with: links to its own root lead below the prefix, and by path cookies stay
 * there.
 */
export function responseHeaders(response: IncomingMessage, { port, prefix, home, byPath }: PortTarget): Fields {
  const fields: [string, string][] = []
  for (const [name, value] of endToEnd(response.rawHeaders)) {
    const lower = name.toLowerCase()
    if (REFUSED.has(lower) || (byPath && REFUSED_BY_PATH.has(lower))) continue
    // A 204 has no body, and must not have a length (RFC 9110 8.6).
    if (lower === 'content-length' && response.statusCode === 204) continue
    if (lower === 'set-cookie') {
      const cookie = appCookie(value, byPath ? { prefix, home } : undefined)
      if (cookie !== undefined) fields.push([name, cookie])
    } else if (prefix !== '' && lower === 'location') fields.push([name, located(value, port, prefix)])
    else if (prefix !== '' && lower === 'refresh') fields.push([name, refreshed(value, port, prefix)])
    else fields.push([name, value])
  }
  return fields
}

/** The words of its status line, without what must not be in there (RFC 9112 4), though parsers take it. */
export function reasonPhrase({ statusMessage = '' }: IncomingMessage): string {
  return statusMessage.replace(/[^\t -~\x80-\xff]/g, '')
}

function located(location: string, port: number, prefix: string): string {
  const local = new RegExp(`^https?://(?:localhost|127\\.0\\.0\\.1|\\[::1\\]):${port}(?=/|$)`).exec(location)?.[0] ?? ''
  const path = location.slice(local.length) || '/'
  return path.startsWith('/') && !path.startsWith('//') ? prefix + path : location
}

/** Seconds and an address (HTML, 7.5.8). */
function refreshed(value: string, port: number, prefix: string): string {
  const [, before = '', address] = /^([\d.]*\s*[;,]\s*url\s*=\s*["']?)(.*)$/is.exec(value) ?? []
  return address === undefined ? value : before + located(address, port, prefix)
}
