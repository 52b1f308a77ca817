import { AppError } from '../errors.ts'
import { MAX_UPLOADS, USER_SHARE } from './limits.ts'
import type { UploadRecord } from './record.ts'

/** What is to be reserved. */
interface Wanted {
  readonly user: string
  /** Bytes in all. */
  readonly length: number
  /** Bytes that unfinished uploads may have in sum. */
  readonly maxBytes: number
}

/** The largest upload that is ever taken. */
export function maxLength(maxBytes: number): number {
  return Math.floor(maxBytes * USER_SHARE)
}

/** Throws AppError too_large for an upload that is never taken; for a join as well, which may name one many times. */
export function checkLength(length: number, maxBytes: number): void {
  if (length <= maxLength(maxBytes)) return
  throw new AppError('too_large', `an upload may have ${maxLength(maxBytes)} bytes (-upload-max-bytes)`)
}

/**
 * Checks that one more upload keeps to the limits of all and of one user. Throws AppError too_large for one that is
 * never taken, resource_exhausted for too many.
 */
export function checkQuota(open: Iterable<UploadRecord>, { user, length, maxBytes }: Wanted): void {
  checkLength(length, maxBytes)
  const [all, own] = [
    { count: 1, bytes: length },
    { count: 1, bytes: length },
  ]
  for (const upload of open) {
    for (const sum of upload.user === user ? [all, own] : [all]) {
      sum.count++
      sum.bytes += upload.length
    }
  }
  if (all.count > MAX_UPLOADS || own.count > MAX_UPLOADS * USER_SHARE)
    throw new AppError('resource_exhausted', 'too many uploads are unfinished; finish or delete some')
  if (all.bytes > maxBytes || own.bytes > maxBytes * USER_SHARE)
    throw new AppError('resource_exhausted', 'unfinished uploads have reserved too many bytes (-upload-max-bytes)')
}

/** Checks that the disk has room for what is to come. Throws AppError no_space. */
export function checkRoom(open: Iterable<UploadRecord>, made: { device: string; free: number; length: number }): void {
  let reserved = made.length
  for (const { place, length, offset } of open) if (place.device === made.device) reserved += length - offset
  if (reserved <= made.free) return
  throw new AppError('no_space', `not enough disk space available: ${made.length} bytes are to come`)
}
