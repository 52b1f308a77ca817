import type { IncomingMessage } from 'node:http'
import { constants, type Http2ServerRequest } from 'node:http2'
import type { Readable } from 'node:stream'
import { freeNow } from '../../budget/memory.ts'
import { pump } from '../../lib/pump.ts'
import { loopTurns } from '../../lib/turns.ts'

/**
 * What is read of a body whose call is answered already: as much as may be on its way in socket buffers, so that a
 * client that still sends gets to the answer. A client that sends more is cut off.
 */
const MAX_BYTES = 8 * 1024 * 1024
const IDLE_MS = 5_000

/** Milliseconds for all of it: a client that sends a byte now and then must not hold the connection. */
const MAX_MS = 15_000

/**
 * Bodies that are read at a time, one piece of up to 64 KiB of each: 8 MiB. The others wait in the kernel; those of
 * HTTP/2, which would wait in memory, are given up.
 */
const MAX_READ = 128

const discarded = new WeakSet<Readable>()
const waiting = new Set<() => void>()
let read = 0

/**
 * Reads and discards what is left of a request body that was answered early, so that its client, still sending, gets to
 * read the answer, and the connection can serve the next request. What has come is freed at once. When there is too
 * much the connection is dropped; over HTTP/2 the call is, after its answer. Calling it again changes nothing.
 */
export function discardRest(body: Readable, maxBytes = MAX_BYTES): void {
  if (body.readableEnded || body.destroyed || isComplete(body) || discarded.has(body)) return
  discarded.add(body)
  const late = AbortSignal.timeout(MAX_MS)
  if (read < MAX_READ) readAway(body, maxBytes, late)
  else if (streamOf(body) !== undefined) giveUp(body)
  else readLater(body, maxBytes, late)
}

function readLater(body: Readable, maxBytes: number, late: AbortSignal): void {
  dropBuffered(body)
  const begin = () => {
    waiting.delete(begin)
    late.removeEventListener('abort', cut)
    body.off('close', begin)
    if (body.destroyed) beginNext()
    else readAway(body, maxBytes, late)
  }
  const cut = () => giveUp(body)
  waiting.add(begin)
  late.addEventListener('abort', cut)
  body.once('close', begin)
}

function readAway(body: Readable, maxBytes: number, signal: AbortSignal): void {
  let left = maxBytes
  const sink = {
    write: (chunk: Buffer) => {
      left -= chunk.length
      freeNow(chunk)
      return left < 0 ? Promise.reject(new Error('too much')) : loopTurns.turn(body)
    },
    end: () => Promise.resolve(),
  }
  read++
  pump(body, sink, { idleMs: IDLE_MS, signal })
    .catch(() => giveUp(body))
    .finally(() => {
      read--
      beginNext()
    })
}

function beginNext(): void {
  const [begin] = waiting
  if (begin !== undefined && read < MAX_READ) begin()
}

/**
 * Ends it. A call of HTTP/2 gets its whole answer before, then the code that asks a client to send no more (RFC 9113
 * 8.1).
 */
function giveUp(body: Readable): void {
  const stream = streamOf(body)
  if (stream === undefined) return void body.destroy()
  const end = () => {
    stream.close(constants.NGHTTP2_NO_ERROR)
    // Node keeps a stream with unread bytes otherwise.
    stream.destroy()
  }
  // What ends the answer leaves at the end of the tick in which it is finished.
  if (stream.writableFinished) setImmediate(end)
  else stream.once('finish', () => setImmediate(end))
}

function streamOf(body: Readable & Partial<Pick<Http2ServerRequest, 'stream'>>) {
  return body.stream
}

/** Frees what was read ahead, and lets the connection read no more until the body is read again. */
function dropBuffered(body: Readable & Partial<Pick<IncomingMessage, 'httpVersionMajor' | 'socket'>>): void {
  if (body.httpVersionMajor !== 1) return
  for (let chunk: Buffer | null = body.read(); chunk !== null; chunk = body.read()) freeNow(chunk)
  // To read has let the connection go on, in the next tick.
  process.nextTick(() => {
    if (body.readableFlowing !== true) body.socket?.pause()
  })
}

/** Nothing more can come; Node discards what was not read. */
function isComplete(body: Readable & Partial<Pick<IncomingMessage, 'complete'>>): boolean {
  return body.complete === true
}
