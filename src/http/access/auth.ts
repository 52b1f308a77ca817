import type { FastifyRequest } from 'fastify'
import { AppError } from '../../errors.ts'
import { type AccessToken, shownToken } from '../../init/access-token.ts'
import { decodedPathOf } from '../app/path.ts'

/** What clients may know before they have a token. */
const CAPABILITIES = ['GET /capabilities', 'POST /capabilities.v1.Capabilities/Get']

/** Resumable uploads, which check signatures as `/files` does. */
const UPLOADS = '/uploads'

/** Reachable without the header (contract A34): `/files` checks signatures, `/init` has token rules of its own. */
const EXEMPT = new Set(['GET /health', 'GET /files', 'POST /files', 'POST /init', ...CAPABILITIES])

/**
 * Refuses a request without the sandbox's token in `X-Access-Token`, once a token is set (contract A32 to A34). Throws
 * AppError `unauthenticated`. RPC paths, unknown paths and wrong methods are no exceptions.
 * @returns whether the request has shown it; false where none is set or needed.
 */
export function checkAccessToken(request: FastifyRequest, token: AccessToken): boolean {
  if (!token.isSet) return false
  if (token.matches(shownToken(request.raw.rawHeaders))) return true
  const path = decodedPathOf(request.url)
  const isUpload = path === UPLOADS || path.startsWith(`${UPLOADS}/`)
  if (isExempt(request.method, path) || isUpload || isPage(request.method, path)) return false
  throw new AppError(
    'unauthenticated',
    'unauthorized access, please provide a valid access token or method signing if supported',
  )
}

/** Whether it is reachable without the header as a whole. */
export function isExempt(method: string, path: string): boolean {
  return EXEMPT.has(`${method} ${path}`)
}

/** A file of the console's page, which contains nothing secret; what the page calls needs the token. */
function isPage(method: string, path: string): boolean {
  return (method === 'GET' || method === 'HEAD') && (path === '/console' || path.startsWith('/console/'))
}
