import { create, type DescMessage, type MessageShape } from '@bufbuild/protobuf'
import { freeNow } from '../budget/memory.ts'
import type { UnreadFrames } from '../budget/unread-frames.ts'
import { ENVELOPE_BYTES } from '../calls/envelope.ts'
import type { FrameSource, OpenStream } from '../calls/implementation.ts'
import { type Codec, messageFrame } from '../calls/message-frame.ts'
import type { OpenStreams } from '../calls/open-streams.ts'
import type { TableMethod } from '../calls/service-table.ts'
import type { RequestBodies } from '../http/body/request-bodies.ts'
import { loopTurns } from '../lib/turns.ts'
import type { CallDeps } from './call-deps.ts'
import { CallEnd } from './call-end.ts'
import { toAppError, wireError } from './call-error.ts'
import { abortWithClient } from './client-signal.ts'
import { endOfStream, onlyMessage } from './connect-envelopes.ts'
import { countUnread } from './count-unread.ts'
import { abortAt, parseTimeout } from './deadline.ts'
import { decodeMessage } from './decode-message.ts'
import { checkEncoding, checkVersion, mediaType, singleHeader } from './guard.ts'
import { LEGACY_HEADER, reducing } from './legacy.ts'
import { awaitArrival, type CallExchange, type CallRequest, requestCaller, streamCaller } from './request-caller.ts'
import { endWith, type RawResponse, writeFrames } from './stream-writer.ts'

/** Messages that are encoded in one turn of the event loop: about a millisecond. */
const ENCODED_AT_ONCE = 64

/** The codec of a content type that `serveStream` takes, undefined for all others. */
export function streamCodec(contentType: string | undefined): Codec | undefined {
  const type = mediaType(contentType)
  if (type === 'application/connect+json') return 'json'
  return type === 'application/connect+proto' ? 'proto' : undefined
}

/**
 * Serves one call of a streaming method in the Connect protocol, over either HTTP version. Every failure travels in the
 * last frame (contract D13), and there always is a last frame, unless the client has gone.
 */
export async function serveStream(
  method: TableMethod,
  codec: Codec,
  { request, response, since }: CallExchange,
  deps: CallDeps,
): Promise<void> {
  const started = performance.now()
  const operation = { id: request.id, method: method.name, started }
  const sent = { bytes: 0 }
  deps.access.streamStarted(operation)
  const over = new CallEnd(since)
  const detach = abortWithClient(response, over, deps.shutdown)
  try {
    await run(method, { codec, request, response, over, started, sent, ...deps })
    endWith(response, endOfStream())
    deps.access.finished(operation, 'ok', { response_bytes: sent.bytes })
  } catch (error) {
    // What ends one stream may end thousands.
    await loopTurns.turn(response)
    const known = wireError(toAppError(error, over, deps.log))
    writeHead(response, codec)
    endWith(response, endOfStream(known))
    deps.access.finished(operation, known.code, { response_bytes: sent.bytes })
  } finally {
    detach()
  }
}

interface Call {
  readonly codec: Codec
  readonly request: CallRequest
  readonly response: RawResponse
  readonly over: CallEnd
  readonly started: number
  readonly sent: { bytes: number }
  readonly bodies: RequestBodies
  readonly unread: UnreadFrames
  readonly streams: OpenStreams
}

async function run(method: TableMethod, call: Call): Promise<void> {
  const { codec, request, response } = call
  const { implementation } = method
  if (implementation.kind !== 'server stream') throw new Error(`${method.name} is no server stream`)
  const timeout = parseTimeout(singleHeader(request.headers['connect-timeout-ms']))
  const deadline = timeout === undefined ? undefined : call.started + timeout
  const cancel = abortAt(deadline, call.over)
  let leave = () => {}
  try {
    await awaitArrival(request, call.over)
    const caller = streamCaller(requestCaller(request, call.over), deadline)
    const unread = countUnread(call.unread, response, caller)
    const stream = await implementation.open(await readMessage(method, call), caller)
    leave = call.streams.add(method.name, caller, stream.pid)
    const reduce = reducing(method, caller)
    writeHead(response, codec, { ...stream.headers, ...(reduce === undefined ? {} : { [LEGACY_HEADER]: 'true' }) })
    const { frames, sent } = stream.frames?.(codec) ?? encodedFrames(stream, { ...method, codec, reduce })
    await writeFrames(response, frames, { signal: () => stream.ended, sent, tally: call.sent, unread })
  } finally {
    leave()
    cancel()
  }
}

interface FrameEncoding extends Pick<TableMethod, 'description' | 'reduce'> {
  readonly codec: Codec
}

/** Of messages that come together some are one piece of bytes, which is in no other stream. */
function encodedFrames(stream: OpenStream, encoding: FrameEncoding): FrameSource {
  return { frames: framesOf(stream, encoding), sent: freeNow }
}

async function* framesOf(stream: OpenStream, encoding: FrameEncoding): AsyncGenerator<Buffer, void> {
  const { description, codec, reduce } = encoding
  for await (const messages of stream.messages()) {
    for (let at = 0; at < messages.length; at += ENCODED_AT_ONCE) {
      // One event may be for thousands of streams.
      const turn = loopTurns.turn(stream)
      if (turn !== undefined) await turn
      const frames = messages.slice(at, at + ENCODED_AT_ONCE).map((init) => {
        const message = create(description.output, init)
        reduce?.(message)
        return messageFrame(description.output, message, codec)
      })
      yield frames.length === 1 && frames[0] !== undefined ? frames[0] : Buffer.concat(frames)
    }
  }
}

async function readMessage(method: TableMethod, call: Call): Promise<MessageShape<DescMessage>> {
  const { request, codec, over, bodies } = call
  checkVersion(singleHeader(request.headers['connect-protocol-version']))
  const encoding = singleHeader(request.headers['connect-content-encoding'])
  checkEncoding(encoding)
  const { bytes: limit, kind } = method.limit
  const memory = bodies.memoryFor(request.raw, kind)
  const { signal } = over
  try {
    const body = await bodies.read(request.raw, { limit: limit + ENVELOPE_BYTES, memory, signal })
    const message = await onlyMessage(body, encoding, { limit, memory, signal })
    return await decodeMessage(method.description.input, message, { codec, memory, signal })
  } finally {
    memory.release()
  }
}

function writeHead(response: RawResponse, codec: Codec, headers: Readonly<Record<string, string>> = {}): void {
  if (response.headersSent || response.destroyed) return
  response.writeHead(200, {
    'content-type': `application/connect+${codec}`,
    'connect-accept-encoding': 'gzip',
    // Proxies must hand on every frame at once, and as it is.
    'cache-control': 'no-cache, no-transform',
    'x-accel-buffering': 'no',
    ...headers,
  })
}
