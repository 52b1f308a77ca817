import { AppError } from '../errors.ts'
import { mediaType } from './guard.ts'

/**
 * Flags that a frame may have: bit 1 says compressed; bit 2 ends a Connect stream, bit 128 marks the trailers of
 * gRPC-Web.
 */
const CONNECT = 0b11
const GRPC = 0b1
const GRPC_WEB = 0b10000001

/** The flags that frames of this content type may have. */
export function knownFlags(contentType: string): number {
  const type = mediaType(contentType)
  if (type.startsWith('application/grpc-web')) return GRPC_WEB
  return type.startsWith('application/grpc') ? GRPC : CONNECT
}

/** Throws AppError `invalid_argument` for a frame with another flag than those known. */
export function checkFlags(flags: number, known: number): void {
  if ((flags & ~known) !== 0) throw new AppError('invalid_argument', `a frame has unknown flags: ${flags}`)
}
