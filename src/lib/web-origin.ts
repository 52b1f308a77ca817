/** Where a web page comes from (RFC 6454), in the form that browsers send. */
export interface WebOrigin {
  /** `scheme://host`, with the port unless it is the scheme's own; in small letters. */
  readonly text: string
  readonly scheme: string
  /** Host name as `hostnameOf` returns it. */
  readonly hostname: string
}

/** Visible ASCII without what ends a host name in a URL: `localhost/` and `localhost@other` are no hosts. */
const AUTHORITY = /^[!-~]+$/
const ENDS_HOST = /[/@?#\\]/

/**
 * The host name in a `Host` header or an authority, without its port, in the form that browsers send: small letters,
 * one spelling of each IP address, IPv6 in brackets and without a zone. Undefined for what is no host.
 */
export function hostnameOf(authority: string): string | undefined {
  if (!AUTHORITY.test(authority) || ENDS_HOST.test(authority)) return undefined
  return parsed(`http://${authority.replace(/%[^\]]*\]/, ']')}`)?.hostname
}

/** Reads an `Origin`. Undefined for `null`, for lists, and for anything with more than scheme, host and port. */
export function originOf(text: string): WebOrigin | undefined {
  const [, scheme, authority] = /^([a-z][a-z0-9+.-]*):\/\/([^/]+)\/?$/i.exec(text) ?? []
  if (scheme === undefined || authority === undefined || hostnameOf(authority) === undefined) return undefined
  const url = parsed(text.toLowerCase())
  if (url === undefined || url.host === '') return undefined
  return { text: `${url.protocol}//${url.host}`, scheme: url.protocol.slice(0, -1), hostname: url.hostname }
}

/** The origin of a whole URL, such as that of a `Referer`. */
export function originOfUrl(text: string): WebOrigin | undefined {
  const url = parsed(text)
  return url === undefined ? undefined : originOf(`${url.protocol}//${url.host}`)
}

function parsed(text: string): URL | undefined {
  return URL.parse(text) ?? undefined
}
