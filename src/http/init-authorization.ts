import { createHash, timingSafeEqual } from 'node:crypto'
import { unlessAborted } from '../lib/unless-aborted.ts'
import type { AccessToken } from './access-token.ts'
import type { SandboxMetadata } from './sandbox-metadata.ts'

/** Whether a request may initialise: then how its sandbox's ids are refreshed, else why not. */
export type Authorization =
  | { readonly ok: true; readonly refresh: () => Promise<void> }
  | { readonly ok: false; readonly reason: string }

/** Who decides. */
export interface Authority {
  readonly token: AccessToken
  readonly metadata: SandboxMetadata
}

/**
 * The token rules of `POST /init` (contract F7, F8): the token that is set may always be repeated; another one, or none, needs the
 * host's word; the first one does too, unless the host says nothing (contract F9).
 * @param requested the token in the body. Rejects with the signal's reason while the host is asked.
 */
export async function authorize(
  { token, metadata }: Authority,
  requested: string | undefined,
  signal: AbortSignal,
): Promise<Authorization> {
  if (token.matches(requested)) return { ok: true, refresh: metadata.refresh }
  const found = await unlessAborted(metadata.lookUp(), signal)
  const hash = found?.accessTokenHash ?? ''
  const allowed = hash === '' ? !token.isSet : isHashOf(hash, requested ?? '')
  if (allowed) return { ok: true, refresh: found?.adopt ?? metadata.refresh }
  return {
    ok: false,
    reason: requested === undefined ? 'access token reset not authorized' : 'access token validation failed',
  }
}

/** Takes the same time however much of the hash is right. */
function isHashOf(hash: string, token: string): boolean {
  const expected = Buffer.from(hash)
  const actual = Buffer.from(createHash('sha512').update(token).digest('hex'))
  return expected.length === actual.length && timingSafeEqual(expected, actual)
}
