import { createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { AppError } from '../../errors.ts'
import { type AccessToken, shownToken } from '../../init/access-token.ts'
import { COOKIE_PREFIX } from './cookies.ts'

/** Seconds that a browser may open a port without asking again. */
const LIFE_S = 3600

/**
 * Cookies of a port, still valid by what they say, that are compared with what is signed, at some 5 µs each. A browser
 * sends one of them: each of the two is for a path of its own.
 */
const MAX_COOKIES = 4

/**
 * The `Set-Cookie` values that let a browser open one port for an hour: signed by the token, which they do not contain,
 * sent by the browser for that port's paths only, and not to be read by scripts. None where no token is set.
 */
export function portCookies(token: AccessToken, port: number, nowSeconds: number): string[] {
  const value = signed(token, port, Math.floor(nowSeconds) + LIFE_S)
  if (value === undefined) return []
  return ['ports', 'absports'].map(
    (kind) => `${COOKIE_PREFIX}${port}=${value}; Path=/${kind}/${port}/; Max-Age=${LIFE_S}; HttpOnly; SameSite=Strict`,
  )
}

/**
 * Lets a request to a port pass, or throws AppError: no token set, everything passes; else the token itself, or the
 * cookie. One that comes by the cookie must not be the doing of a page of another origin: for browsers all ports of a
 * host are one site.
 * @returns whether it has shown the token itself.
 */
export function checkPortAccess(token: AccessToken, request: IncomingMessage, port: number): boolean {
  if (!token.isSet) return false
  if (token.matches(shownToken(request.rawHeaders))) return true
  if (!hasCookie(token, request, port, Date.now() / 1000))
    throw new AppError('unauthenticated', 'unauthorized access: this port needs the access token of the sandbox')
  if (!isOwnPage(request))
    throw new AppError('permission_denied', 'requests of pages of other origins are refused: show the access token')
  return false
}

function hasCookie(token: AccessToken, { headers }: IncomingMessage, port: number, nowSeconds: number): boolean {
  const cookies = (headers.cookie ?? '').split(';').map((cookie) => cookie.trim())
  const name = `${COOKIE_PREFIX}${port}=`
  const values = cookies.flatMap((cookie) => {
    const value = cookie.startsWith(name) ? cookie.slice(name.length) : ''
    return expiryOf(value) >= nowSeconds ? [value] : []
  })
  return values.slice(0, MAX_COOKIES).some((value) => {
    const expected = signed(token, port, expiryOf(value))
    return expected !== undefined && equal(expected, value)
  })
}

function expiryOf(value: string): number {
  return Number(/^(\d{1,12})\./.exec(value)?.[1] ?? 0)
}

function signed(token: AccessToken, port: number, expiry: number): string | undefined {
  return token.withToken((secret) => {
    const claim = `envd port ${port} until ${expiry}`
    return `${expiry}.${createHmac('sha256', secret).update(claim).digest('base64url')}`
  })
}

function equal(a: string, b: string): boolean {
  const [first, second] = [Buffer.from(a), Buffer.from(b)]
  return first.length === second.length && timingSafeEqual(first, second)
}

/** Browsers name the page's origin in one of these, which pages cannot change. */
function isOwnPage({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site']
  const { origin } = headers
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  if (origin === undefined) return true
  return URL.canParse(origin) && new URL(origin).host === (headers.host ?? headers[':authority'])
}
