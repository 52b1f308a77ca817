import { pipeline, type Readable } from 'node:stream'
import { constants, createGzip } from 'node:zlib'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ContentTypes } from '../filesystem/content-types.ts'
import { checkDownload, type Download, openDownload } from '../filesystem/download.ts'
import { baseName } from '../lib/clean-path.ts'
import { sniffContentType } from '../lib/sniff-content-type.ts'
import { chooseEncoding } from './accept-encoding.ts'
import { judgeConditions, rangeHolds } from './conditions.ts'
import { inlineDisposition } from './content-disposition.ts'
import { sendRanges } from './multipart-ranges.ts'
import { contentRange, parseRange } from './range.ts'

/** Compression is for the way to the client, not for keeping: the fastest level, three times as fast as the default. */
const GZIP = { level: constants.Z_BEST_SPEED, chunkSize: 64 * 1024 }

/** A file to send. */
export interface FileToSend {
  /** Absolute. */
  readonly path: string
  readonly contentTypes: ContentTypes
}

/**
 * Answers a GET with a file (contract B16 to B28): whole, compressed, in pieces, or not at all because of a condition.
 * Rejects with AppError before anything was sent; afterwards a failure cuts the connection.
 */
export async function sendFile(request: FastifyRequest, reply: FastifyReply, file: FileToSend): Promise<FastifyReply> {
  await checkDownload(file.path)
  const { headers } = request
  const identityOnly = ['range', 'if-modified-since', 'if-none-match', 'if-range'].some((name) => headers[name])
  const encoding = chooseEncoding(headers['accept-encoding'], { identityOnly })
  const download = await openDownload(file.path)
  try {
    const byName = await file.contentTypes.of(file.path)
    reply.header('content-disposition', inlineDisposition(baseName(file.path))).header('vary', 'Accept-Encoding')
    // Clients know an empty file by `Content-Length: 0`, which a compressed one does not have.
    if (encoding === 'gzip' && download.size !== 0) {
      return reply
        .type(byName ?? 'application/octet-stream')
        .header('content-encoding', 'gzip')
        .send(compressed(download))
    }
    return await sendIdentity(request, reply, { download, type: byName ?? sniffContentType(download.head) })
  } catch (error) {
    await download.close()
    throw error
  }
}

async function sendIdentity(
  request: FastifyRequest,
  reply: FastifyReply,
  { download, type }: { readonly download: Download; readonly type: string },
): Promise<FastifyReply> {
  const { size, modified } = download
  if (modified > 0) reply.header('last-modified', new Date(modified * 1000).toUTCString())
  const condition = judgeConditions(request.headers, modified)
  if (condition !== 'proceed') {
    await download.close()
    return reply.code(condition === 'failed' ? 412 : 304).send()
  }
  if (size === undefined) return reply.type(type).send(download.whole())
  const header = rangeHolds(request.headers, modified) ? request.headers.range : undefined
  const range = parseRange(header, size)
  switch (range.kind) {
    case 'whole':
      reply.type(type).header('accept-ranges', 'bytes').header('content-length', size)
      return reply.send(download.range(0, size))
    case 'parts': {
      const [first, ...others] = range.parts
      reply.code(206).header('accept-ranges', 'bytes')
      if (first === undefined || others.length > 0)
        return sendRanges(reply, { download, type, size, parts: range.parts })
      reply.type(type).header('content-range', contentRange(first, size)).header('content-length', first.length)
      return reply.send(download.range(first.start, first.length))
    }
    case 'beyond':
    case 'malformed':
      await download.close()
      return refuseRange(reply, range.kind === 'beyond' ? size : undefined)
  }
}

function refuseRange(reply: FastifyReply, size: number | undefined): FastifyReply {
  reply.removeHeader('last-modified')
  if (size !== undefined) reply.header('content-range', `bytes */${size}`)
  return reply
    .code(416)
    .type('text/plain; charset=utf-8')
    .header('x-content-type-options', 'nosniff')
    .send(size === undefined ? 'invalid range\n' : 'invalid range: failed to overlap\n')
}

function compressed(download: Download): Readable {
  // Errors of both end at the reply, which is destroyed with the last stream.
  return pipeline(download.whole(), createGzip(GZIP), () => {})
}
