import type { IncomingMessage } from 'node:http'

/** The target of a request whose own one is malformed: no route has it, and the app answers it with 400. */
export const NO_TARGET = ''

/** The target that asks for the server as a whole (RFC 9110 9.3.7). */
export const WHOLE_SERVER = '*'

/** `http://authority/path?query`: the authority without a user, and the rest (RFC 9112 3.2.2, RFC 9110 4.2.4). */
const ABSOLUTE = /^https?:\/\/([^/?@]+)((?:[/?].*)?)$/is

/** What a request asks for, and of which host if the target says so. */
interface RequestTarget {
  /** `/path?query`, `WHOLE_SERVER` or `NO_TARGET`. */
  readonly target: string
  /** Of an absolute target; it counts more than the Host header (RFC 9112 3.2.2). */
  readonly authority: string | undefined
}

/**
 * Reads a request target in any of its forms (RFC 9112 3.2). The path stays as it was sent: another spelling is another
 * path (contract A19).
 */
export function readTarget(method: string | undefined, sent: string): RequestTarget {
  const plain = (target: string) => ({ target, authority: undefined })
  // A fragment never belongs to a target (RFC 9112 3.2).
  if (sent.includes('#')) return plain(NO_TARGET)
  if (sent.startsWith('/')) return plain(sent)
  if (sent === WHOLE_SERVER) return plain(method === 'OPTIONS' ? WHOLE_SERVER : NO_TARGET)
  const [, authority, rest = ''] = ABSOLUTE.exec(sent) ?? []
  if (authority === undefined) return plain(NO_TARGET)
  if (rest === '' && method === 'OPTIONS') return { target: WHOLE_SERVER, authority }
  return { target: rest.startsWith('/') ? rest : `/${rest}`, authority }
}

/** Sets the one target, and the one host, of a request that everything after this sees. */
export function normaliseTarget(request: IncomingMessage): void {
  const { target, authority } = readTarget(request.method, request.url ?? '')
  request.url = target
  if (authority === undefined) return
  if (request.headers[':authority'] !== undefined) request.headers[':authority'] = authority
  request.headers.host = authority
}
