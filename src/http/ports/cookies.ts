/** Beginning of the names of cookies by which browsers are let in (`access.ts`). */
export const COOKIE_PREFIX = 'envd-port-'

/** Where the cookies of an app belong. */
interface CookiePlace {
  /** Stands in front of the app's own paths; empty: they are whole. */
  readonly prefix: string
  /** The path below which they stay, without a slash at the end. */
  readonly home: string
}

/** Of a `Cookie` field those that are for the app. */
export function appCookies(value: string): string[] {
  const cookies = value.split(';').map((cookie) => cookie.trim())
  return cookies.filter((cookie) => cookie !== '' && !cookie.startsWith(COOKIE_PREFIX))
}

/**
 * A `Set-Cookie` field of an app as it is sent on; undefined: it is not, as it would stand for one of the daemon's.
 * Attributes are read as browsers do (RFC 6265 5.2): of several of a name the last counts, spaces around it do not.
 * @param place keeps the cookie there: none of the host's other paths, no other host. Undefined: as the app has it.
 */
export function appCookie(value: string, place: CookiePlace | undefined): string | undefined {
  const [pair = '', ...attributes] = value.split(';')
  // One without a name is sent as its value alone.
  if (pair.replace(/^[\s=]+/, '').startsWith(COOKIE_PREFIX)) return undefined
  if (place === undefined) return value
  const last = attributes.findLastIndex((attribute) => nameOf(attribute) === 'path')
  const kept = attributes.flatMap((attribute, index) => {
    const name = nameOf(attribute)
    if (name === 'domain' || (name === 'path' && index !== last)) return []
    return [name === 'path' ? pathBelow(attribute, place) : attribute]
  })
  return [pair, ...kept].join(';')
}

function nameOf(attribute: string): string {
  return (attribute.split('=', 1)[0] ?? '').trim().toLowerCase()
}

function pathBelow(attribute: string, { prefix, home }: CookiePlace): string {
  const own = attribute.slice(attribute.indexOf('=') + 1).trim()
  // Any other is that of the request's directory.
  if (!own.startsWith('/')) return ' Path='
  const path = prefix + own
  return ` Path=${path === home || path.startsWith(`${home}/`) ? path : `${home}/`}`
}
