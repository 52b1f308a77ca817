import { Failure } from './failure.ts'

const HEAD_BYTES = 5
const END_FLAG = 2

/** More than any message of the daemon: a list of output is at most some megabytes. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024

/** One message as Connect frames it in a stream (five bytes of flags and length before it). */
export function enveloped(message: unknown): Buffer {
  const payload = Buffer.from(JSON.stringify(message))
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32BE(payload.length, 1)
  return Buffer.concat([head, payload])
}

/**
 * The messages of a stream. Ends with the stream's own end; throws Failure with the code that it ends with, or `lost`
 * if it has none. The caller names the type of the messages that its method streams.
 */
export async function* messagesOf<T>(body: AsyncIterable<Buffer>): AsyncGenerator<T, void> {
  let held: Buffer = Buffer.alloc(0)
  for await (const chunk of body) {
    held = held.length === 0 ? chunk : Buffer.concat([held, chunk])
    for (let size = sizeOf(held); size !== undefined; size = sizeOf(held)) {
      const value: unknown = JSON.parse(held.toString('utf8', HEAD_BYTES, size))
      const last = (held.readUInt8(0) & END_FLAG) !== 0
      held = held.subarray(size)
      if (last) return throwEnd(value as StreamEnd)
      yield value as T
    }
  }
  throw new Failure('lost', 'the connection broke')
}

/** The last envelope of a stream. */
interface StreamEnd {
  readonly error?: { readonly code?: string; readonly message?: string }
}

function throwEnd({ error }: StreamEnd): void {
  if (error !== undefined) throw new Failure(error.code ?? 'unknown', error.message ?? error.code ?? 'unknown')
}

/** Bytes of the envelope that is at the beginning; undefined: it is not all there. */
function sizeOf(held: Buffer): number | undefined {
  if (held.length < HEAD_BYTES) return undefined
  const size = HEAD_BYTES + held.readUInt32BE(1)
  if (size > MAX_MESSAGE_BYTES) throw new Failure('internal', `a message of ${size} bytes`)
  return held.length < size ? undefined : size
}
