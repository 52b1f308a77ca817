import type { Readable } from 'node:stream'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { type DescMessage, fromBinary, fromJsonString, type MessageShape } from '@bufbuild/protobuf'
import { AppError } from '../errors.ts'
import { fromUtf8 } from '../lib/utf8.ts'
import type { Codec } from './message-frame.ts'

/** Largest request message: room for the largest environment and for 16 MiB of input in base64, far below memory. */
export const MAX_MESSAGE_BYTES = 64 * 1024 * 1024

/** A body that is too large is read to its end, so that its client gets to the answer; past this it is cut off. */
const MAX_FORGOTTEN_BYTES = 4 * MAX_MESSAGE_BYTES

/**
 * All of a request's body. Rejects with AppError `resource_exhausted` above `limit` bytes, with `canceled` when the client
 * leaves in the middle, and with the reason of `signal` when it aborts.
 */
export function readWhole(body: Readable, limit: number, signal: AbortSignal): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  let parts: Buffer[] = []
  let size = 0
  const leave = () => reject(new AppError('canceled', 'the client has gone'))
  const abort = () => reject(signal.reason)
  const end = () => {
    signal.removeEventListener('abort', abort)
    if (size > limit) reject(new AppError('resource_exhausted', `message is larger than the limit of ${limit} bytes`))
    else resolve(parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts))
  }
  body.on('data', (part: Buffer) => {
    size += part.length
    if (size <= limit) parts.push(part)
    else parts = []
    if (size > MAX_FORGOTTEN_BYTES) body.destroy()
  })
  body.on('end', end).on('error', leave).on('close', leave)
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  return promise
}

/** Undoes the gzip of a message. AppErrors: `resource_exhausted` above 64 MiB, `invalid_argument` if it is none. */
export async function gunzipped(message: Buffer): Promise<Buffer> {
  try {
    return await promisify(gunzip)(message, { maxOutputLength: MAX_MESSAGE_BYTES })
  } catch (error) {
    if (error instanceof RangeError)
      throw new AppError('resource_exhausted', `message is larger than the limit of ${MAX_MESSAGE_BYTES} bytes`)
    throw new AppError('invalid_argument', 'the gzip message cannot be read', { cause: error })
  }
}

/**
 * Reads a message, leniently in JSON: unknown fields and enum names are skipped, nothing at all is an empty message. Throws
 * AppError `invalid_argument` (contract A23).
 */
export function decodeMessage<I extends DescMessage>(schema: I, bytes: Buffer, codec: Codec): MessageShape<I> {
  try {
    if (codec === 'proto') return fromBinary(schema, bytes)
    return fromJsonString(schema, bytes.length === 0 ? '{}' : fromUtf8(bytes), { ignoreUnknownFields: true })
  } catch (error) {
    const why = error instanceof Error ? error.message : 'malformed'
    throw new AppError('invalid_argument', `unmarshal message: ${why}`, { cause: error })
  }
}
