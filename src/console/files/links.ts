import { sha256 } from './sha256.ts'

/** Seconds that a link can be opened in; a download that has begun goes on. */
const LINK_SECONDS = 3600

/** Who a link acts for. */
interface LinkOptions {
  /** Empty: the default user. */
  readonly user: string
  /** Empty: none is set. */
  readonly token: string
  readonly now: number
  /** Of a directory. */
  readonly archive?: 'tar.gz'
}

/**
 * The path and query of a download that the browser itself makes, so that it needs no memory. The token is not in it:
 * as the SDKs do, the link is signed with it (contract B7), for this path, this user and an hour.
 */
export function downloadLink(path: string, { user, token, now, archive }: LinkOptions): string {
  const query = new URLSearchParams({ path })
  if (user !== '') query.set('username', user)
  if (archive !== undefined) query.set('format', archive)
  if (token === '') return `/files?${query}`
  const expiration = String(Math.floor(now / 1000) + LINK_SECONDS)
  query.set('signature', signature([path, 'read', user, token, expiration].join(':')))
  query.set('signature_expiration', expiration)
  return `/files?${query}`
}

function signature(text: string): string {
  const digest = sha256(new TextEncoder().encode(text))
  return `v1_${btoa(String.fromCharCode(...digest)).replace(/=+$/, '')}`
}
