import type { FastifyReply, FastifyRequest } from 'fastify'
import type { TableMethod } from '../calls/service-table.ts'
import { AppError } from '../errors.ts'
import { parseMediaType } from '../http/body/media-type.ts'
import { parseTimeout } from './deadline.ts'

/** What a method takes and returns, as far as its content types differ. */
type MethodKind = 'unary' | 'stream'

/** The kind of a method. */
export function kindOf({ description }: TableMethod): MethodKind {
  return description.methodKind === 'unary' ? 'unary' : 'stream'
}

const GRPC = ['application/grpc', 'application/grpc+proto', 'application/grpc+json']
const GRPC_WEB = ['application/grpc-web', 'application/grpc-web+proto', 'application/grpc-web+json']

const accepted: Record<MethodKind, readonly string[]> = {
  unary: [...GRPC, ...GRPC_WEB, 'application/json', 'application/proto'],
  stream: ['application/connect+json', 'application/connect+proto', ...GRPC, ...GRPC_WEB],
}

/** Longest timeout that a timer of the library takes. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1

/**
 * Answers what is no call: 405 for other methods than POST, 415 for content types that the method does not take
 * (contract A22). Returns whether the request may go on.
 */
export function isCall(request: FastifyRequest, reply: FastifyReply, kind: MethodKind): boolean {
  if (request.method !== 'POST') {
    reply.code(405).header('allow', 'POST').send()
    return false
  }
  const contentType = request.headers['content-type']
  if (accepted[kind].includes(mediaType(contentType)) && isUtf8(contentType)) return true
  reply.code(415).header('accept-post', accepted[kind].join(', ')).send()
  return false
}

/** Whether a content type names no charset but UTF-8, which is the only one of JSON (RFC 8259 8.1). */
function isUtf8(contentType = ''): boolean {
  if (!contentType.includes(';')) return true
  return /^utf-?8$/i.test(parseMediaType(contentType)?.parameters.get('charset') ?? 'utf-8')
}

/** A content type without its parameters, in small letters. */
export function mediaType(header: string | undefined): string {
  return (header ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

/**
 * Rewrites the timeout headers into what the library understands the way this daemon does (`parseTimeout`), and takes
 * compression off gRPC streams. Throws `invalid_argument` for a header that is no timeout, or of another version of
 * Connect.
 */
export function normaliseHeaders(request: FastifyRequest, kind: MethodKind): void {
  const { headers } = request.raw
  if (mediaType(headers['content-type']).startsWith('application/connect+'))
    checkVersion(singleHeader(headers['connect-protocol-version']))
  // The library takes it for another version.
  if (headers['connect-protocol-version'] === '') delete headers['connect-protocol-version']
  const timeout = parseTimeout(singleHeader(headers['connect-timeout-ms']))
  if (timeout === undefined) delete headers['connect-timeout-ms']
  else headers['connect-timeout-ms'] = String(Math.min(timeout, MAX_TIMEOUT_MS))
  if (isEndless(singleHeader(headers['grpc-timeout']))) delete headers['grpc-timeout']
  if (kind === 'stream') delete headers['grpc-accept-encoding']
}

/** Milliseconds of the units of a gRPC timeout that can be longer than a timer (gRPC over HTTP/2, "Timeout"). */
const LONG_UNITS = new Map([
  ['H', 3_600_000],
  ['M', 60_000],
  ['S', 1000],
])

/** Whether a gRPC timeout is longer than a timer takes, which is 24 days: as good as none. */
function isEndless(timeout = ''): boolean {
  const [, count, unit = ''] = /^(\d{1,8})([HMS])$/.exec(timeout) ?? []
  return Number(count) * (LONG_UNITS.get(unit) ?? 0) > MAX_TIMEOUT_MS
}

/**
 * Throws `invalid_argument` for another version of the protocol than the one there is; none at all, or an empty one, is
 * that one (contract A22).
 */
export function checkVersion(version = ''): void {
  if (version !== '' && version !== '1')
    throw new AppError('invalid_argument', `Connect-Protocol-Version must be "1": got "${version}"`)
}

/** The compression of a request's messages must be one that is known; contract A25. */
export function checkEncoding(encoding: string | undefined): void {
  if (encoding !== undefined && encoding !== '' && encoding !== 'identity' && encoding !== 'gzip')
    throw new AppError('unimplemented', `unknown compression "${encoding}": supported encodings are gzip`)
}

/** The value of a header that a client may have sent more than once. */
export function singleHeader(value: string | readonly string[] | undefined): string | undefined {
  return typeof value === 'object' ? value[0] : value
}
