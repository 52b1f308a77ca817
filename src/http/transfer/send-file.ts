import type { Transform, Writable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Hold } from '../../budget/budget.ts'
import { AppError } from '../../errors.ts'
import type { ContentTypes } from '../../filesystem/content-types.ts'
import { checkDownload, type Download, openDownload, readSmallFile } from '../../filesystem/download.ts'
import type { FileUser } from '../../filesystem/file-user.ts'
import { type Piece, SMALL_READ_BYTES, transmit } from '../../filesystem/transmit.ts'
import { baseName } from '../../lib/clean-path.ts'
import { errorFields } from '../../lib/error-fields.ts'
import { sniffContentType } from '../../lib/sniff-content-type.ts'
import type { Log } from '../../log.ts'
import { takeOver } from '../server/take-over.ts'
import { acceptsIdentity, chooseEncoding } from './accept-encoding.ts'
import { COMPRESSOR_BYTES, type Compression, type Compressors } from './compressors.ts'
import { compressedTag, judgeConditions, rangeHolds } from './conditions.ts'
import { inlineDisposition } from './content-disposition.ts'
import { multipartRanges } from './multipart-ranges.ts'
import { contentRange, parseRange } from './range.ts'

/** Memory of a download beside its bytes: request, response and stream, and the file. */
const OVERHEAD_BYTES = 16 * 1024

/** The end of the year 9999: an HTTP date has no more digits (RFC 9110 5.6.7). */
const LAST_HTTP_SECOND = 253_402_300_799

interface FileToSend {
  /** Absolute. */
  readonly path: string
  readonly user: FileUser
  readonly contentTypes: ContentTypes
  readonly compressors: Compressors
  /** Empty; this module grows and releases it. */
  readonly hold: Hold
  readonly log: Log
}

/** What is sent of an open file, once headers are decided. */
interface Body {
  readonly download: Download
  /** Bytes; undefined where only the end shows it. */
  readonly length: number | undefined
  readonly pieces: readonly Piece[]
  readonly hold: Hold
  readonly log: Log
}

/**
 * Answers a GET with a file (contract B16 to B28): whole, compressed, in pieces, or not at all because of a condition.
 * Rejects with AppError before anything was sent, `budget_spent` among others; afterwards a failure cuts the
 * connection.
 */
export async function sendFile(request: FastifyRequest, reply: FastifyReply, file: FileToSend): Promise<FastifyReply> {
  try {
    return await answer(request, reply, file)
  } catch (error) {
    file.hold.release()
    throw error
  }
}

async function answer(request: FastifyRequest, reply: FastifyReply, file: FileToSend): Promise<FastifyReply> {
  const { path, user, hold } = file
  const small = hold.tryGrow(OVERHEAD_BYTES) ? await readSmallFile(path, user, hold) : undefined
  if (small === undefined) await checkDownload(path, user)
  const { headers } = request
  const identityOnly = ['range', 'if-modified-since', 'if-none-match', 'if-range'].some((name) => headers[name])
  const encoding = chooseEncoding(headers['accept-encoding'], { identityOnly })
  const byName = await file.contentTypes.of(path)
  const download = small ?? (await open(file))
  reply.header('content-disposition', inlineDisposition(baseName(path))).header('vary', 'Accept-Encoding')
  const body = wholeBody(download, file)
  const condition = judgeConditions(headers, download)
  // Clients know an empty file by `Content-Length: 0`, which a compressed one does not have.
  const compression = encoding === 'identity' || download.size === 0 ? undefined : encoding
  const compressor = condition === 'proceed' && compression ? takeCompressor(compression, file) : undefined
  if (compression !== undefined && compressor !== undefined) {
    if (download.tag !== undefined) reply.header('etag', compressedTag(download.tag, compression))
    reply.header('content-type', byName ?? 'application/octet-stream').header('content-encoding', compression)
    return sendCompressed(reply, body, compressor)
  }
  if (compression !== undefined && condition === 'proceed' && !acceptsIdentity(headers['accept-encoding'])) {
    await download.close()
    throw new AppError('budget_spent', 'all compressors are busy; try again, or accept identity')
  }
  const type = byName ?? sniffContentType(download.head)
  if (download.modified > 0 && download.modified <= LAST_HTTP_SECOND)
    reply.header('last-modified', new Date(download.modified * 1000).toUTCString())
  if (download.tag !== undefined) reply.header('etag', download.tag)
  if (condition !== 'proceed') {
    await finish(body)
    return reply.code(condition === 'failed' ? 412 : 304).send()
  }
  const range = rangeHolds(headers, download) ? headers.range : undefined
  return sendIdentity(reply, { body, type, range })
}

async function open({ path, user, hold }: FileToSend): Promise<Download> {
  hold.grow(Math.max(0, OVERHEAD_BYTES - hold.bytes) + SMALL_READ_BYTES)
  return openDownload(path, user, hold)
}

function takeCompressor(compression: Compression, { compressors, hold }: FileToSend): Transform | undefined {
  const compressor = compressors.take(compression)
  if (compressor === undefined || hold.tryGrow(COMPRESSOR_BYTES)) return compressor
  compressor.destroy()
  return undefined
}

async function finish({ download, hold }: Body): Promise<void> {
  hold.release()
  await download.close()
}

function wholeBody(download: Download, { hold, log }: FileToSend): Body {
  const { head, size } = download
  const inMemory = size === undefined || size === head.length
  const pieces: Piece[] = inMemory ? [head] : [{ start: 0, length: size }]
  if (size === undefined) pieces.push('rest')
  return { download, length: size, pieces, hold, log }
}

async function sendIdentity(
  reply: FastifyReply,
  { body, type, range }: { readonly body: Body; readonly type: string; readonly range: string | undefined },
): Promise<FastifyReply> {
  const size = body.length
  const typed = (text: string) => reply.header('content-type', text)
  if (size === undefined) return sendBody(typed(type), body)
  const choice = parseRange(range, size)
  switch (choice.kind) {
    case 'whole':
      return sendBody(typed(type).header('accept-ranges', 'bytes'), body)
    case 'parts': {
      reply.code(206).header('accept-ranges', 'bytes')
      const [first, ...others] = choice.parts
      if (first === undefined || others.length > 0) {
        const { type: multipart, length, pieces } = multipartRanges(choice.parts, { type, size })
        return sendBody(typed(multipart), { ...body, length, pieces })
      }
      typed(type).header('content-range', contentRange(first, size))
      return sendBody(reply, { ...body, length: first.length, pieces: [first] })
    }
    case 'beyond':
    case 'malformed':
      await finish(body)
      return refuseRange(reply, choice.kind === 'beyond' ? size : undefined)
  }
}

function refuseRange(reply: FastifyReply, size: number | undefined): FastifyReply {
  reply.removeHeader('last-modified').removeHeader('etag')
  if (size !== undefined) reply.header('content-range', `bytes */${size}`)
  return reply
    .code(416)
    .header('content-type', 'text/plain; charset=utf-8')
    .header('x-content-type-options', 'nosniff')
    .send(size === undefined ? 'invalid range\n' : 'invalid range: failed to overlap\n')
}

/** Writes to the response itself, which reports when a buffer may be used again. */
function sendBody(reply: FastifyReply, body: Body): FastifyReply {
  if (body.length !== undefined) reply.header('content-length', body.length)
  try {
    const [only, ...others] = body.pieces
    if (Buffer.isBuffer(only) && others.length === 0) sendWhole(body, only, takeOver(reply))
    else send(body, takeOver(reply))
  } catch (error) {
    // The connection has answered a malformed body already.
    finish(body).catch(() => {})
    throw error
  }
  return reply
}

/** What is in memory leaves in one write with the headers. */
function sendWhole(body: Body, bytes: Buffer, response: FastifyReply['raw']): void {
  const close = () => {
    finish(body).catch(() => {})
  }
  response.once('close', close)
  response.end(bytes)
  if (response.destroyed) close()
}

function sendCompressed(reply: FastifyReply, body: Body, compressor: Transform): FastifyReply {
  send(body, compressor)
  return reply.send(compressor)
}

function send(body: Body, target: Writable): void {
  transmit(body.download, body.pieces, { target, hold: body.hold })
    .then(
      () => target.end(),
      (error: Error) => {
        logBroken(body.log, error)
        target.destroy(error)
      },
    )
    .then(() => finish(body))
    .catch(() => {})
}

function logBroken(log: Log, error: unknown): void {
  log.debug({ ...errorFields(error) }, 'a download broke off')
}
