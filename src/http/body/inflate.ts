import { createGunzip } from 'node:zlib'
import type { Memory } from '../../budget/memory.ts'
import { AppError } from '../../errors.ts'
import { Collected } from './collected.ts'

/** Bytes of input for zlib at once, so that no thread works long, and of its output. */
const CHUNK_BYTES = 64 * 1024

/** Of the output of a small message: its piece is left to the garbage collector. */
const MIN_CHUNK_BYTES = 4 * 1024

/** What a text grows to, usually. */
const USUAL_RATIO = 8

/** zlib's window and state, and a piece each of input and output. */
const ZLIB_BYTES = 48 * 1024 + 2 * CHUNK_BYTES

/** More than texts and logs ever reach; deflate itself reaches 1,032. */
const MAX_RATIO = 200

/** Below this no ratio is suspicious. */
const MIN_BOMB_BYTES = 1024 * 1024

/** How far a message may grow, and for how long. */
export interface InflateOptions {
  readonly limit: number
  readonly memory: Memory
  readonly signal: AbortSignal
}

/**
 * Undoes gzip. Rejects with AppError `too_large` above `limit` bytes and for what grows more than anything real, with
 * `invalid_argument` if it is no gzip, with `budget_spent`, and with the signal's reason.
 */
export function inflate(message: Buffer, { limit, memory, signal }: InflateOptions): Promise<Buffer> {
  memory.count(ZLIB_BYTES)
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const collected = new Collected(memory, limit)
  const chunkSize = Math.min(CHUNK_BYTES, Math.max(MIN_CHUNK_BYTES, message.length * USUAL_RATIO))
  const gunzip = createGunzip({ chunkSize })
  const fail = (error: unknown) => {
    reject(error)
    gunzip.destroy()
  }
  const abort = () => fail(signal.reason)
  const mostBytes = Math.max(MIN_BOMB_BYTES, message.length * MAX_RATIO)
  gunzip.on('data', (piece: Buffer) => {
    try {
      if (collected.length + piece.length > mostBytes)
        throw new AppError('too_large', `the gzip message grows to more than ${MAX_RATIO} times its size`)
      collected.add(piece)
    } catch (error) {
      fail(error)
    }
  })
  gunzip.on('end', () => resolve(collected.bytes))
  gunzip.on('error', (cause) => fail(new AppError('invalid_argument', 'the gzip message cannot be read', { cause })))
  signal.addEventListener('abort', abort, { once: true })
  if (signal.aborted) abort()
  let at = 0
  const feed = () => {
    if (gunzip.destroyed) return
    if (at >= message.length) return void gunzip.end()
    // A copy, as a thread may still read it when the message's memory has been freed: after an abort, or for what
    // follows the end of the gzip.
    const piece = Buffer.from(message.subarray(at, at + CHUNK_BYTES))
    at += piece.length
    gunzip.write(piece, feed)
  }
  feed()
  return promise.finally(() => {
    signal.removeEventListener('abort', abort)
    gunzip.destroy()
  })
}
