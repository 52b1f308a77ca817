import type { IncomingMessage } from 'node:http'
import type { Memory } from '../../budget/memory.ts'
import { AppError } from '../../errors.ts'
import { CutShort, pump, Stalled } from '../../lib/pump.ts'
import { Collected, tooLarge } from './collected.ts'

/** How a body is read. */
export interface BodyOptions {
  /** Bytes that it may have. */
  readonly limit: number
  /** Milliseconds without a byte after which the call fails. */
  readonly stallMs: number
  readonly memory: Memory
  readonly signal?: AbortSignal
}

/**
 * Reads a whole request body; the only place where one is held in memory. A body that says it is too large is refused
 * before a byte of it is read. Rejects with AppError `too_large`, `budget_spent`, `stalled`, `canceled` when the client
 * leaves in the middle, and with the signal's reason. What is not read is left to `discardRest`.
 */
export async function readBody(request: IncomingMessage, options: BodyOptions): Promise<Buffer> {
  const { stallMs, memory, signal } = options
  const announced = announcedLength(request)
  if (announced !== undefined && announced > options.limit) throw tooLarge(options.limit)
  const collected = new Collected(memory, announced ?? options.limit)
  const write = (chunk: Buffer) => {
    try {
      collected.add(chunk)
    } catch (error) {
      return Promise.reject(error)
    }
    return undefined
  }
  try {
    await pump(request, { write, end: () => Promise.resolve() }, { idleMs: stallMs, ...(signal && { signal }) })
  } catch (error) {
    throw bodyFailure(error)
  }
  return collected.bytes
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
