import type { IncomingMessage } from 'node:http'
import type { Memory } from '../../budget/memory.ts'
import { AppError } from '../../errors.ts'
import { CutShort, pump, Stalled } from '../../lib/pump.ts'
import { loopTurns } from '../../lib/turns.ts'
import { Collected, tooLarge } from './collected.ts'

/** How a body is read. */
export interface BodyOptions {
  /** Bytes that it may have. */
  readonly limit: number
  readonly memory: Memory
  /** Checked only where reading waits. */
  readonly signal?: AbortSignal
}

/**
 * Reads a whole request body; the only place where one is held in memory. A body that says it is too large is refused
 * before a byte of it is read. Rejects with AppError `too_large`, `budget_spent`, `stalled`, `canceled` when the client
 * leaves in the middle, and with the signal's reason. What is not read is left to `discardRest`.
 * @param stallMs milliseconds without a byte after which it fails
 */
export async function readBody(request: IncomingMessage, options: BodyOptions, stallMs: number): Promise<Buffer> {
  const { memory, signal } = options
  const announced = announcedLength(request)
  if (announced !== undefined && announced > options.limit) throw tooLarge(options.limit)
  const small = (await smallBody(request)) ?? (await lateSmallBody(request, options, stallMs))
  if (small !== undefined) {
    memory.count(small.length)
    return small
  }
  memory.count(AHEAD_BYTES)
  const collected = new Collected(memory, announced ?? options.limit)
  const write = (chunk: Buffer) => {
    try {
      collected.add(chunk)
    } catch (error) {
      return Promise.reject(error)
    }
    // Many that send fast at the same time would fill every turn of the event loop.
    return loopTurns.turn(request)
  }
  try {
    await pump(request, { write, end: () => Promise.resolve() }, { idleMs: stallMs, ...(signal && { signal }) })
  } catch (error) {
    throw bodyFailure(error)
  }
  return collected.bytes
}

/** What is read ahead of a larger body while its last piece is taken. */
const AHEAD_BYTES = 64 * 1024

/** Bodies below this size are read at once where they have come with their headers; Node reads no more ahead. */
const SMALL_BYTES = 64 * 1024

const NOTHING = Buffer.alloc(0)

/** A small body of HTTP/1 that has come together with the headers; undefined: it is to be read from the stream. */
export async function smallBody(request: IncomingMessage): Promise<Buffer | undefined> {
  if ((announcedLength(request) ?? SMALL_BYTES) >= SMALL_BYTES) return undefined
  if (request.httpVersionMajor !== 1 || request.readableFlowing === true) return undefined
  if (!request.complete) await untilParsed(request)
  if (!request.complete || request.destroyed || request.readableEnded) return undefined
  const bytes: Buffer | null = request.read()
  return bytes ?? NOTHING
}

/**
 * A small body of HTTP/1 whose rest is on its way; undefined: it is to be read from the stream. Thousands may wait for
 * it: each takes a fraction of what `pump` does. Rejects as `readBody`.
 */
async function lateSmallBody(request: IncomingMessage, options: BodyOptions, stallMs: number) {
  const { signal } = options
  const announced = announcedLength(request) ?? SMALL_BYTES
  if (announced >= SMALL_BYTES || request.httpVersionMajor !== 1 || request.readableFlowing === true) return undefined
  signal?.throwIfAborted()
  await untilComplete(request, stallMs, signal).catch((error: unknown) => {
    throw bodyFailure(error)
  })
  return (request.read() as Buffer | null) ?? NOTHING
}

/** Resolves when all of a body has come, which is not read meanwhile. Rejects as `pump`. */
function untilComplete(request: IncomingMessage, stallMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: unknown) => {
      clearTimeout(timer)
      request.off('readable', look).off('close', leave)
      signal?.removeEventListener('abort', abort)
      if (error === undefined) resolve()
      else reject(error)
    }
    const timer = setTimeout(() => settle(new Stalled(stallMs)), stallMs)
    const look = () => (request.complete ? settle() : timer.refresh())
    const leave = () => settle(new CutShort())
    const abort = () => settle(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    request.on('readable', look).on('close', leave)
    if (request.destroyed) leave()
  })
}

/**
 * Resolves when the parser has handed over what it has of a body: after the request, in the same turn of the event
 * loop.
 */
export async function untilParsed({ socket }: IncomingMessage): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve))
  const turn = loopTurns.turn(socket)
  if (turn !== undefined) await turn
}

/** The error that a client receives for a body that did not come whole. */
export function bodyFailure(error: unknown): unknown {
  if (error instanceof Stalled) return new AppError('stalled', `the rest of the request did not come: ${error.message}`)
  return error instanceof CutShort ? new AppError('canceled', 'the client has gone', { cause: error }) : error
}

/** `Content-Length`; undefined where the length is not known before. */
function announcedLength({ headers }: Pick<IncomingMessage, 'headers'>): number | undefined {
  const length = Number(headers['content-length'])
  return headers['content-length'] !== undefined && Number.isSafeInteger(length) && length >= 0 ? length : undefined
}
