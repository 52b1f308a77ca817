import type { IncomingMessage } from 'node:http'
import { AppError } from '../../errors.ts'
import type { SaidLength } from '../../uploads/deferred.ts'
import { parseMediaType } from '../body/media-type.ts'
import { bytesOf, checksumOf, PIECE_TYPE } from './tus-headers.ts'

type WithHeaders = Pick<IncomingMessage, 'headers'>

/** The length of a new upload; undefined: it is said later. Throws AppError invalid_argument for none, or both. */
export function lengthOf({ headers }: WithHeaders): number | undefined {
  const defer = headers['upload-defer-length']
  if (defer === undefined) return bytesOf(headers, 'upload-length')
  if (defer === '1' && headers['upload-length'] === undefined) return undefined
  throw new AppError('invalid_argument', 'upload-defer-length must be 1, without upload-length')
}

/**
 * The bytes of the first piece, in a request that makes an upload of that length; 0: it has none. Throws AppError as
 * `checkPiece` and `saidLength`.
 */
export function contentOf(request: WithHeaders, length: number | undefined): number {
  const { headers } = request
  const announced = headers['content-length'] === undefined ? undefined : Number(headers['content-length'])
  const bytes = announced ?? (headers['transfer-encoding'] === undefined ? 0 : 1)
  if (bytes > 0) checkPiece(request, length)
  if (bytes > 0 && length === undefined) saidLength(request, true)
  return bytes
}

/**
 * What the request of a piece says of the length of its upload. Throws AppError invalid_argument if it says nothing,
 * and the length is not known yet: what is to be reserved would be unknown.
 */
export function saidLength({ headers }: WithHeaders, deferred: boolean): SaidLength {
  const total = headers['upload-length'] === undefined ? undefined : bytesOf(headers, 'upload-length')
  if (deferred && total === undefined && headers['content-length'] === undefined)
    throw new AppError('invalid_argument', 'content-length is required until upload-length is known')
  return { total, announced: Number(headers['content-length'] ?? 0) }
}

/** Refuses what is no piece, or more than is to come, before a byte of it is read. Throws AppError. */
export function checkPiece({ headers }: WithHeaders, room = Number.POSITIVE_INFINITY): void {
  if (parseMediaType(headers['content-type'] ?? '')?.type !== PIECE_TYPE)
    throw new AppError('unsupported_type', `content-type must be ${PIECE_TYPE}`)
  if (!/^(identity)?$/i.test(headers['content-encoding'] ?? ''))
    throw new AppError('invalid_argument', 'pieces of an upload must not be compressed')
  checksumOf(headers)
  if (Number(headers['content-length'] ?? 0) > Math.max(0, room))
    throw new AppError('too_large', 'more bytes than the upload is to have')
}
