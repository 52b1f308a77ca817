import type { IncomingMessage, ServerResponse } from 'node:http'
import { type DescMethod, type Message, toJsonString } from '@bufbuild/protobuf'
import type { Memory } from '../budget/memory.ts'
import { ENVELOPE_BYTES } from '../calls/envelope.ts'
import type { Codec } from '../calls/message-frame.ts'
import type { TableMethod } from '../calls/service-table.ts'
import { AppError } from '../errors.ts'
import { Collected, tooLarge } from '../http/body/collected.ts'
import { inflate } from '../http/body/inflate.ts'
import { bodyFailure } from '../http/body/read-body.ts'
import type { RequestBodies } from '../http/body/request-bodies.ts'
import { createTimeSlice } from '../lib/time-slice.ts'
import { BodyChunks } from './body-chunks.ts'
import { checkMessage, decodeMessage, MESSAGE_LIMITS, SMALL_JSON } from './decode-message.ts'
import { checkFlags, knownFlags } from './frame-flags.ts'

/** A call that the library serves. */
interface LibraryCall {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly method: TableMethod
  readonly contentType: string
  /** Compression of its messages, as the header says. */
  readonly encoding: string | undefined
  readonly bodies: RequestBodies
  /** What the library receives for a failure. */
  readonly failure: (error: unknown) => Error
}

const COMPRESSED = 1

/** What is no message (the end of a Connect stream) is given to the library as it is, up to this size. */
const MAX_OTHER_BYTES = 16 * 1024

/**
 * The library decodes JSON at 16 MB/s, in one piece. Larger inputs come as StreamInput, whose messages can be divided,
 * or in binary.
 */
const MAX_JSON_BYTES = 256 * 1024

/**
 * What each of a thousand streams of inputs took while it waited: the library's stream, and of HTTP/1.1 what was read
 * ahead, a piece in the parser's buffer and one that is taken apart.
 */
const STREAM_BYTES = 256 * 1024

/** Of what is known in a message of JSON: the library decodes it once more. */
const LIBRARY_LIMITS = { ...MESSAGE_LIMITS, values: 16 * 1024, text: MAX_JSON_BYTES }

/**
 * The body of a request as the library may read it, which has one limit for all methods, inflates whatever that allows
 * and decodes at once: all that it gets has been checked and inflated here, envelope by envelope, one at a time. Throws
 * what `failure` makes.
 */
export function checkedBody(call: LibraryCall): AsyncIterable<Uint8Array> {
  const over = new AbortController()
  call.response.once('close', () => over.abort(new AppError('canceled', 'the client has gone')))
  return checkedEnvelopes(call, over.signal)
}

async function* checkedEnvelopes(call: LibraryCall, signal: AbortSignal): AsyncGenerator<Buffer, void> {
  const { request, bodies, method } = call
  const { kind } = method.limit
  const several = method.implementation.kind === 'client stream'
  // The library copies a message before it asks for the next one; one that is the only one it keeps to the end.
  const whole = bodies.memoryFor(request, kind)
  signal.addEventListener('abort', () => whole.release(), { once: true })
  const slice = createTimeSlice()
  const chunks = new BodyChunks(request, { stallMs: bodies.stallMs, idle: several })
  try {
    if (several) whole.count(STREAM_BYTES)
    for (;;) {
      const memory = several ? bodies.memoryFor(request, kind) : whole
      try {
        const message = await nextEnvelope(chunks, call, { memory, signal })
        if (message === undefined) return
        let copied = 0
        for (const part of message) {
          memory.count(Math.max(0, part.length - copied))
          copied = Math.max(copied, part.length)
          yield part
          // A large message is divided, and the library decodes each of its pieces at once.
          await slice.next()
        }
      } finally {
        if (several) memory.release()
      }
      // Many small messages may have come at once.
      await slice.next()
    }
  } catch (error) {
    throw call.failure(bodyFailure(error))
  } finally {
    chunks.close()
  }
}

interface Means {
  readonly memory: Memory
  readonly signal: AbortSignal
}

/** The next envelope as the library may have it, divided if it is large; undefined at the end. */
async function nextEnvelope(
  chunks: BodyChunks,
  call: LibraryCall,
  { memory, signal }: Means,
): Promise<Iterable<Buffer> | undefined> {
  const head = new Collected(memory, ENVELOPE_BYTES)
  if (!(await chunks.fill(head, ENVELOPE_BYTES))) return head.length === 0 ? undefined : [head.bytes]
  const flags = head.bytes.readUInt8(0)
  const length = head.bytes.readUInt32BE(1)
  checkFlags(flags, knownFlags(call.contentType))
  const isMessage = (flags & ~COMPRESSED) === 0
  const limit = isMessage ? call.method.limit.bytes : MAX_OTHER_BYTES
  if (length > limit) throw tooLarge(limit)
  const payload = new Collected(memory, length)
  // The library says that it is not whole.
  if (!(await chunks.fill(payload, length))) return [head.bytes, payload.bytes]
  const inflatable = flags === COMPRESSED && call.encoding === 'gzip'
  if (!isMessage || (flags === COMPRESSED && !inflatable)) return framed(flags, payload.bytes)
  const message = inflatable && length > 0 ? await inflate(payload.bytes, { limit, memory, signal }) : payload.bytes
  return checked(message, call, { memory, signal })
}

async function checked(
  bytes: Buffer,
  { method, contentType }: LibraryCall,
  { memory, signal }: Means,
): Promise<Iterable<Buffer>> {
  const codec: Codec = /json/i.test(contentType) ? 'json' : 'proto'
  if (codec === 'proto') {
    checkMessage(method.description.input, bytes)
    return framed(0, bytes)
  }
  const { length } = bytes
  const { implementation, limit } = method
  const isDivisible = implementation.kind === 'client stream'
  if (length > MAX_JSON_BYTES && limit.kind === 'input' && !isDivisible) throw tooLarge(MAX_JSON_BYTES)
  const message = await decodeMessage(method.description.input, bytes, {
    codec,
    memory,
    signal,
    limits: LIBRARY_LIMITS,
  })
  // Passed on as it came: the library decodes so little fast enough.
  if (length <= SMALL_JSON) return framed(0, bytes)
  const pieces = isDivisible ? implementation.split(message) : undefined
  if (isDivisible && pieces === undefined && length > MAX_JSON_BYTES) throw tooLarge(MAX_JSON_BYTES)
  return reencoded(method.description, pieces ?? [message])
}

function* reencoded(method: DescMethod, messages: Iterable<Message>): Generator<Buffer, void> {
  for (const message of messages) yield* framed(0, Buffer.from(toJsonString(method.input, message)))
}

/** An envelope in two parts, so that the payload is not copied. */
function framed(flags: number, payload: Buffer): readonly Buffer[] {
  const head = Buffer.alloc(ENVELOPE_BYTES)
  head.writeUInt8(flags, 0)
  head.writeUInt32BE(payload.length, 1)
  return [head, payload]
}
