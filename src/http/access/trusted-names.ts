import { BlockList, isIP } from 'node:net'
import { hostnameOf, originOf, type WebOrigin } from '../../lib/web-origin.ts'

/** Whose requests are served without a token, by names that a browser cannot be made to lie about. */
export interface TrustedNames {
  /** Pages on a loopback host over HTTP, and those that were allowed. */
  trustsOrigin(origin: WebOrigin | undefined): boolean
  /**
   * Whether no foreign name server can make this host name lead here: an IP address, `localhost` or below it, a name
   * without a dot, as containers call each other, and those that were allowed. With or without a port.
   */
  trustsHost(authority: string): boolean
}

/** Beside the standing rules: origins as `https://app.example`, host names, `*.name` for all below one. */
export interface AllowedNames {
  readonly origins: readonly string[]
  readonly hosts: readonly string[]
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

/** Makes the rules; names that are no origins or no hosts allow nothing. */
export function createTrustedNames({ origins, hosts }: AllowedNames): TrustedNames {
  const allowedOrigins = new Set(origins.flatMap((text) => originOf(text)?.text ?? []))
  const allowedHosts = hosts.flatMap((host) => {
    const hostname = hostnameOf(host.replace(/^\*\./, ''))
    return hostname === undefined ? [] : [{ name: plainName(hostname), below: host.startsWith('*.') }]
  })
  return {
    trustsOrigin: (origin) => {
      if (origin === undefined) return false
      const web = origin.scheme === 'http' || origin.scheme === 'https'
      return (web && isLoopback(origin.hostname)) || allowedOrigins.has(origin.text)
    },
    trustsHost: lastAnswer((authority) => {
      const hostname = hostnameOf(authority)
      if (hostname === undefined || hostname === '') return false
      if (!hostname.includes('.') || isLocalhost(hostname) || addressOf(hostname) !== undefined) return true
      const name = plainName(hostname)
      return allowedHosts.some((allowed) => (allowed.below ? name.endsWith(`.${allowed.name}`) : name === allowed.name))
    }),
  }
}

/**
 * The same, with the last answer kept: a client names the host in the same way in every request, and reading it is the
 * dearer part.
 */
function lastAnswer(ask: (text: string) => boolean): (text: string) => boolean {
  let last: { readonly text: string; readonly answer: boolean } | undefined
  return (text) => {
    if (last?.text !== text) last = { text, answer: ask(text) }
    return last.answer
  }
}

/** Whether a host name, or an IP address with or without brackets, is this machine alone. */
export function isLoopback(hostname: string): boolean {
  const address = addressOf(hostname)
  if (address === undefined) return isLocalhost(hostname)
  return LOOPBACK.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4')
}

function isLocalhost(hostname: string): boolean {
  const name = plainName(hostname)
  return name === 'localhost' || name.endsWith('.localhost')
}

/** Without the dot at the end of an absolute name. */
function plainName(hostname: string): string {
  return hostname.endsWith('.') ? hostname.slice(0, -1) : hostname
}

function addressOf(hostname: string): string | undefined {
  const text = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
  return isIP(text) === 0 ? undefined : text
}
