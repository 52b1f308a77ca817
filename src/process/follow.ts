import { NEVER } from '../lib/never.ts'
import { withTimeout } from '../lib/with-timeout.ts'
import type { End } from './exit-status.ts'
import type { Chunk, Offsets } from './output-log.ts'
import type { OutputReader } from './output-reader.ts'

/** One item of a process stream. Always start first, exactly one end last, unless the stream fails. */
export type StreamItem<T> =
  /** @property offsets where the output that follows begins; undefined: the stream cannot be resumed. */
  | { readonly kind: 'start'; readonly pid: number; readonly offsets: Offsets | undefined }
  | { readonly kind: 'data'; readonly data: T }
  | { readonly kind: 'keepalive' }
  | { readonly kind: 'end'; readonly end: End }

/** What a client follows: a process, or what is kept of one that has ended, through a reader of its own. */
export interface Followed {
  readonly process: { readonly pid: number; readonly ended: Promise<End> }
  readonly reader: OutputReader
  /**
   * When the process is killed, on the clock of performance.now(); undefined: this client's deadline does not end the
   * process.
   */
  readonly deadline?: number | undefined
  /** The stream says where its output stands, so that its client can go on there after a cut. */
  readonly resumable?: boolean
  /** It was started by an earlier call with the same key. */
  readonly replayed?: boolean
}

/**
 * How long the stream waits for the end of a process that is killed at its deadline: one that hangs in the kernel does
 * not end.
 */
const KILL_LIMIT_MS = 1000

/** A timer may come that much early: it counts whole milliseconds. */
const TIMER_SLACK_MS = 2

/**
 * The items of a process stream. `encode` converts each chunk, synchronously. A keepalive follows every `keepalive`
 * milliseconds without data. Closes the reader at the end; before that, aborting the signal that the reader was made
 * with is enough. A client that receives `deadline_exceeded` for a process finds it ended.
 */
export async function* follow<T>(
  followed: Followed,
  keepalive: number,
  encode: (chunk: Chunk) => T,
): AsyncGenerator<StreamItem<T>, void, undefined> {
  const { process, reader, resumable = false } = followed
  try {
    yield { kind: 'start', pid: process.pid, offsets: resumable ? reader.begins : undefined }
    for (;;) {
      const state = await reader.readable(keepalive)
      if (state === 'end') break
      if (state === 'quiet') yield { kind: 'keepalive' }
      else yield* taken(reader, encode)
    }
    yield { kind: 'end', end: await process.ended }
  } catch (error) {
    const { deadline = Number.POSITIVE_INFINITY } = followed
    if (performance.now() >= deadline - TIMER_SLACK_MS) await withTimeout(KILL_LIMIT_MS, process.ended, NEVER)
    throw error
  } finally {
    reader.close()
  }
}

function* taken<T>(reader: OutputReader, encode: (chunk: Chunk) => T): Generator<StreamItem<T>, void, undefined> {
  for (let data = reader.take(encode); data !== undefined; data = reader.take(encode)) yield { kind: 'data', data }
}
