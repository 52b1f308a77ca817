import { createHash, timingSafeEqual } from 'node:crypto'
import { AppError } from '../../errors.ts'
import type { AccessToken } from '../../init/access-token.ts'

/** What a signed URL claims; every text exactly as it stood in the query, before any resolution (contract B7). */
export interface SignedRequest {
  readonly operation: 'read' | 'write'
  /** Empty when absent. */
  readonly path: string
  /** Empty when absent. */
  readonly username: string
  readonly signature: string | undefined
  /** Unix seconds; undefined: the signature never expires. */
  readonly expiration: bigint | undefined
  /** The X-Access-Token header. */
  readonly header: string | undefined
}

/**
 * Lets a /files request pass or throws AppError unauthenticated (contract B4 to B9): no token set, everything passes; a
 * header alone decides where there is one; else the signature, and only then its expiry.
 * @returns whether it was the signature that let the request pass.
 */
export function checkFileAccess(token: AccessToken, request: SignedRequest, nowSeconds: number): boolean {
  if (!token.isSet) return false
  if (request.header) {
    if (token.matches(request.header)) return false
    throw new AppError('unauthenticated', 'access token present in header but does not match')
  }
  if (request.signature === undefined) throw new AppError('unauthenticated', 'missing signature query parameter')
  const expected = token.withToken((text) => sign(request, text))
  if (expected === undefined || !equal(expected, request.signature)) {
    throw new AppError('unauthenticated', 'invalid signature')
  }
  if (request.expiration !== undefined && request.expiration < BigInt(nowSeconds)) {
    throw new AppError('unauthenticated', 'signature is already expired')
  }
  return true
}

/** `v1_` and the unpadded standard base64 of SHA-256 over `path:operation:username:token[:expiration]`. */
function sign({ path, operation, username, expiration }: SignedRequest, token: string): string {
  const parts = [path, operation, username, token]
  if (expiration !== undefined) parts.push(String(expiration))
  const digest = createHash('sha256').update(parts.join(':')).digest('base64')
  return `v1_${digest.replace(/=+$/, '')}`
}

/** In time that does not depend on where the texts differ. */
function equal(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
