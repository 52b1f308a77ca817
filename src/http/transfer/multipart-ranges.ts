import type { Piece } from '../../filesystem/transmit.ts'
import { randomBytes } from '../../native/index.ts'
import { type ByteRange, contentRange } from './range.ts'

/** Puts pieces of one file together (RFC 9110 14.6). `type` is the file's media type, `size` its bytes. */
export function multipartRanges(
  parts: readonly ByteRange[],
  { type, size }: { readonly type: string; readonly size: number },
): { readonly type: string; readonly length: number; readonly pieces: readonly Piece[] } {
  const boundary = randomBytes(30).toString('hex')
  const pieces: Piece[] = parts.flatMap((part, index) => [
    Buffer.from(
      `${index === 0 ? '' : '\r\n'}--${boundary}\r\nContent-Range: ${contentRange(part, size)}\r\nContent-Type: ${type}\r\n\r\n`,
    ),
    part,
  ])
  pieces.push(Buffer.from(`\r\n--${boundary}--\r\n`))
  const length = pieces.reduce((sum, piece) => sum + (piece === 'rest' ? 0 : piece.length), 0)
  return { type: `multipart/byteranges; boundary=${boundary}`, length, pieces }
}
