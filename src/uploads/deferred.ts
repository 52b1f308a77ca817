import { AppError } from '../errors.ts'
import type { UploadRecord } from './record.ts'

/** What a request says of the length of an upload. */
export interface SaidLength {
  /** Bytes in all; undefined: it does not say. */
  readonly total: number | undefined
  /** Bytes that come with it. */
  readonly announced: number
}

/** All of it has come. */
export function isWhole({ deferred, offset, length }: UploadRecord): boolean {
  return deferred !== true && offset >= length
}

/**
 * The upload with what a request says of its length; while that is not known, with room for what comes with the
 * request. Throws AppError invalid_argument for another length than before, or one that has been passed.
 */
export function withLength(upload: UploadRecord, { total, announced }: SaidLength): UploadRecord {
  const { deferred, offset, length } = upload
  const wrong = total !== undefined && (deferred === true ? total < offset : total !== length)
  if (wrong) throw new AppError('invalid_argument', 'upload-length is not that of the upload')
  if (deferred !== true) return upload
  return total === undefined
    ? { ...upload, length: offset + announced }
    : { ...upload, length: total, deferred: undefined }
}
