import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import type { Download } from '../filesystem/download.ts'
import { type ByteRange, contentRange } from './range.ts'

/** Several pieces of one file. */
export interface Pieces {
  readonly download: Download
  readonly type: string
  readonly size: number
  readonly parts: readonly ByteRange[]
}

/** Sends pieces of a file as `multipart/byteranges` (RFC 9110 14.6), with its exact length. The status is the caller's. */
export function sendRanges(reply: FastifyReply, pieces: Pieces): FastifyReply {
  const boundary = randomBytes(30).toString('hex')
  const heads = pieces.parts.map((part, index) => partHead(part, { ...pieces, boundary, first: index === 0 }))
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  const bytes = pieces.parts.reduce((sum, part) => sum + part.length, 0)
  const overhead = heads.reduce((sum, head) => sum + head.length, tail.length)
  return reply
    .type(`multipart/byteranges; boundary=${boundary}`)
    .header('content-length', bytes + overhead)
    .send(Readable.from(body(pieces, heads, tail), { objectMode: false }))
}

function partHead(
  part: ByteRange,
  { type, size, boundary, first }: Pieces & { readonly boundary: string; readonly first: boolean },
): Buffer {
  const start = `${first ? '' : '\r\n'}--${boundary}\r\n`
  return Buffer.from(`${start}Content-Range: ${contentRange(part, size)}\r\nContent-Type: ${type}\r\n\r\n`)
}

async function* body({ download, parts }: Pieces, heads: readonly Buffer[], tail: Buffer): AsyncGenerator<Buffer> {
  try {
    for (const [index, part] of parts.entries()) {
      yield heads[index] ?? Buffer.alloc(0)
      yield* download.bytes(part.start, part.length)
    }
    yield tail
  } finally {
    await download.close()
  }
}
