import type { IncomingMessage, RequestListener } from 'node:http'
import type { Config } from '../../config.ts'
import { originOf, originOfUrl } from '../../lib/web-origin.ts'
import type { Log } from '../../log.ts'
import { sendErrorBody } from '../app/error-body.ts'
import { createTrustedNames, type TrustedNames } from './trusted-names.ts'

/** What stands between web pages and a server that asks for no token. */
export interface ForeignPageGuard {
  readonly config: Pick<Config, 'notFirecracker' | 'allowOrigins' | 'allowHosts'>
  /** Whether this request must show a token anyway, or may be answered without one knowingly. */
  readonly isProtected: (request: IncomingMessage) => boolean
  readonly log: Pick<Log, 'warn'>
}

const REFUSED = 403
const WARNING_INTERVAL_MS = 60_000

const SET_A_TOKEN = 'set an access token (-access-token-file), or allow the'

/**
 * Puts the guard before a request handler: unless a token protects it, what `refusalOf` refuses gets 403 and nothing
 * else, on every route and without headers that would let a page read it. In a microVM the platform's proxy decides who
 * gets through.
 */
export function refuseForeignPages(
  handler: RequestListener,
  { config, isProtected, log }: ForeignPageGuard,
): RequestListener {
  if (!config.notFirecracker) return handler
  const names = createTrustedNames({ origins: config.allowOrigins, hosts: config.allowHosts })
  let warned = Number.NEGATIVE_INFINITY
  return (request, response) => {
    const refusal = isProtected(request) ? undefined : refusalOf(request, names)
    if (refusal === undefined) return handler(request, response)
    if (performance.now() - warned > WARNING_INTERVAL_MS) {
      warned = performance.now()
      log.warn({ reason: refusal }, 'a request that a web page may have made was refused')
    }
    sendErrorBody(request, response, REFUSED, refusal)
  }
}

/**
 * Why a request may be the doing of a foreign web page, or undefined. A browser names the page's origin in `Origin`, or
 * at least in `Referer` or `Sec-Fetch-Site`, none of which the page can change; and the name that the page was reached
 * by in `Host` or `:authority`, which shows one whose name server was made to lead here (DNS rebinding). Clients other
 * than browsers send no such origins. A header that came twice must be trusted both times.
 */
function refusalOf(request: IncomingMessage, names: TrustedNames): string | undefined {
  const sent = headersOf(request)
  const origins = sent.filter(([name]) => name === 'origin')
  const hosts = sent.filter(([name]) => name === 'host' || name === ':authority').map(([, value]) => value)
  const target = authorityOf(request.url ?? '')
  if (target !== undefined) hosts.push(target)
  if (!hosts.every((host) => names.trustsHost(host)))
    return `requests to this host name are refused: ${SET_A_TOKEN} name (-allow-host)`
  const trusted =
    origins.length > 0 ? origins.every(([, value]) => names.trustsOrigin(originOf(value))) : trustsPage(sent, names)
  return trusted ? undefined : `requests of web pages of this origin are refused: ${SET_A_TOKEN} origin (-allow-origin)`
}

/** For requests without `Origin`: images, scripts, links, and forms that only ask. */
function trustsPage(sent: readonly Header[], names: TrustedNames): boolean {
  const referers = sent.filter(([name, value]) => name === 'referer' && value !== '')
  if (referers.length > 0) return referers.every(([, value]) => names.trustsOrigin(originOfUrl(value)))
  return !sent.some(([name, value]) => name === 'sec-fetch-site' && value !== 'none' && value !== 'same-origin')
}

type Header = readonly [name: string, value: string]

/** The headers that `refusalOf` looks at. */
const TELLING = new Set(['origin', 'host', ':authority', 'referer', 'sec-fetch-site'])
const TELLING_LENGTHS = new Set([...TELLING].map(({ length }) => length))

/** The headers that are judged, as they were sent: the parsed ones lack repeated ones. */
function headersOf({ rawHeaders }: IncomingMessage): Header[] {
  const pairs: Header[] = []
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const sent = rawHeaders[i] ?? ''
    if (!TELLING_LENGTHS.has(sent.length)) continue
    const name = sent.toLowerCase()
    if (TELLING.has(name)) pairs.push([name, rawHeaders[i + 1] ?? ''])
  }
  return pairs
}

/** Of a target in absolute form (RFC 9112 3.2.2), whose authority stands in the place of `Host`. */
function authorityOf(target: string): string | undefined {
  return /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(target)?.[1]
}
