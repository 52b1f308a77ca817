import { ENVELOPE_BYTES, envelope } from '../calls/envelope.ts'
import { AppError } from '../errors.ts'
import { type InflateOptions, inflate } from '../http/body/inflate.ts'

const COMPRESSED = 1
const END_OF_STREAM = 2

/**
 * The request of a server-streaming call in the Connect protocol: exactly one enveloped message, uncompressed or gzip
 * as `encoding` says. Errors as contract A25, A26, and of `inflate`.
 */
export async function onlyMessage(bytes: Buffer, encoding: string | undefined, how: InflateOptions): Promise<Buffer> {
  if (bytes.length === 0) throw new AppError('unimplemented', 'unary request has zero messages')
  if (bytes.length < ENVELOPE_BYTES) throw truncated(`${bytes.length} bytes of an envelope's header`)
  const flags = bytes.readUInt8(0)
  const length = bytes.readUInt32BE(1)
  const message = bytes.subarray(ENVELOPE_BYTES, ENVELOPE_BYTES + length)
  if ((flags & ~(COMPRESSED | END_OF_STREAM)) !== 0)
    throw new AppError('invalid_argument', `the message has unknown flags: ${flags}`)
  if ((flags & END_OF_STREAM) !== 0) throw new AppError('unimplemented', 'unary request has zero messages')
  if (message.length < length) throw truncated(`${message.length} of ${length} bytes of a message`)
  if (bytes.length > ENVELOPE_BYTES + length) throw new AppError('unimplemented', 'unary request has multiple messages')
  return (flags & COMPRESSED) === 0 ? message : uncompress(message, encoding, how)
}

/** The last envelope of a stream: `{}`, or the error that ended it. */
export function endOfStream(error?: { readonly code: string; readonly message: string }): Buffer {
  const text = Buffer.from(JSON.stringify(error === undefined ? {} : { error }))
  return envelope(END_OF_STREAM, text.length, (frame, offset) => text.copy(frame, offset))
}

async function uncompress(message: Buffer, encoding: string | undefined, how: InflateOptions): Promise<Buffer> {
  if (encoding === undefined || encoding === 'identity')
    throw new AppError('invalid_argument', 'received a compressed message without a Connect-Content-Encoding')
  return inflate(message, how)
}

function truncated(what: string): AppError {
  return new AppError('invalid_argument', `the request ended after ${what}`)
}
