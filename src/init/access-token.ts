import { hash, timingSafeEqual } from 'node:crypto'

/** The access token of the sandbox, if one is set (contract A32, A36). Never logged, never in an environment. */
export interface AccessToken {
  readonly isSet: boolean
  /** Replaces the token. Throws for an empty one: removing it must be meant. */
  set(token: string): void
  /** Removes the token; everything is open again. */
  clear(): void
  /**
   * Whether the given text is the token, in a time that does not depend on how much of it is right. False when none is
   * set.
   */
  matches(given: string | undefined): boolean
  /** Lends the token to `use`, which must not keep it; undefined when none is set. */
  withToken<T>(use: (token: string) => T): T | undefined
}

/** Makes an unset token. Its bytes are overwritten when it changes. */
export function createAccessToken(): AccessToken {
  let secret: Buffer | undefined
  let digest: Buffer | undefined
  const clear = () => {
    secret?.fill(0)
    digest?.fill(0)
    secret = undefined
    digest = undefined
  }
  return {
    get isSet() {
      return secret !== undefined
    },
    set: (token) => {
      if (token === '') throw new Error('an access token must not be empty')
      clear()
      secret = Buffer.from(token)
      digest = digestOf(secret)
    },
    clear,
    matches: (given) =>
      digest !== undefined && given !== undefined && timingSafeEqual(digest, digestOf(Buffer.from(given))),
    withToken: (use) => (secret === undefined ? undefined : use(secret.toString())),
  }
}

/**
 * The token that a request shows in `X-Access-Token`; undefined without one. Some proxies send a header twice: the same
 * value again says nothing new, another one makes the request show no token that could be right.
 * @param rawHeaders names and values in turn.
 */
export function shownToken(rawHeaders: readonly string[]): string | undefined {
  const shown = new Set<string>()
  for (let i = 0; i + 1 < rawHeaders.length; i += 2)
    if (rawHeaders[i]?.toLowerCase() === 'x-access-token') shown.add(rawHeaders[i + 1] ?? '')
  return shown.size === 0 ? undefined : [...shown].join(', ')
}

/** Digests have one length, so that comparing them shows nothing of the token's. */
function digestOf(bytes: Buffer): Buffer {
  return hash('sha256', bytes, 'buffer')
}
