import { createHash, timingSafeEqual } from 'node:crypto'
import { raceAbort } from '../lib/race-abort.ts'
import type { AccessToken } from './access-token.ts'
import type { Look } from './mmds/mmds.ts'

/**
 * The token rules of `POST /init` (contract F7, F8): the token that is set may always be repeated; another one, or
 * none, needs the host's word; the first one does too, unless the host says nothing (contract F9). Returns why the
 * request is refused, or undefined. Rejects with the signal's reason while the host is asked.
 * @param requested the token in the body
 */
export async function refusalOf(
  { token, look }: { readonly token: AccessToken; readonly look: Look },
  requested: string | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (token.matches(requested)) return undefined
  const hash = await raceAbort(look.tokenHash, signal)
  const allowed = hash === '' ? !token.isSet : isHashOf(hash, requested ?? '')
  if (allowed) return undefined
  return requested === undefined ? 'access token reset not authorized' : 'access token validation failed'
}

/** Takes the same time however much of the hash is right. */
function isHashOf(hash: string, token: string): boolean {
  const expected = Buffer.from(hash)
  const actual = Buffer.from(createHash('sha512').update(token).digest('hex'))
  return expected.length === actual.length && timingSafeEqual(expected, actual)
}
