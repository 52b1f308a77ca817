import { closeSync, constants, fstatSync, openSync, type Stats, write } from 'node:fs'
import { Socket } from 'node:net'
import { promisify } from 'node:util'
import { errnoOf } from '../errors.ts'
import { createLineQueue, type LineQueue } from '../lib/line-queue.ts'
import { NEVER } from '../lib/never.ts'
import { withTimeout } from '../lib/with-timeout.ts'

/** Lines on a descriptor, written in order and behind the caller's back. */
interface Output {
  /** Takes a line with its line feed. Never blocks, never throws; without a reader the oldest lines are dropped. */
  write(line: string): void
  /** Resolves when all is written, or after so many milliseconds. */
  flush(graceMs: number): Promise<void>
}

/** As much as the log exporter holds: some 30,000 lines while there is no reader. */
const MAX_QUEUE_BYTES = 8 * 1024 * 1024
/** Longest line in bytes, as for the exporter (contract G31). */
const MAX_LINE_BYTES = 192 * 1024
/** Written at once; what a pipe holds. */
const BATCH_BYTES = 64 * 1024
/** How long to wait with a terminal that takes nothing. */
const RETRY_MS = 50

type Sink = (bytes: Buffer) => Promise<void>

/**
 * Makes the output of a descriptor that stays open for ever. A write that waits for its reader blocks neither the event
 * loop nor a thread: a thread that is stuck in write(2) would keep the process from exiting. Only a regular file on a
 * disk that hangs does take a thread, one. Errors lose the lines they are about.
 */
export function createOutput(fd: number): Output {
  const queue = createLineQueue<string>({
    bytesOf: Buffer.byteLength,
    maxBytes: MAX_QUEUE_BYTES,
    maxLineBytes: MAX_LINE_BYTES,
  })
  let sink: Sink | undefined
  let writing: Promise<void> | undefined
  const writeAll = async () => {
    sink ??= openSink(fd)
    while (queue.size > 0) await sink(takeBatch(queue)).catch(() => {})
  }
  const start = () => {
    if (writing !== undefined || queue.size === 0) return
    writing = writeAll().finally(() => {
      writing = undefined
      start()
    })
  }
  return {
    write(line) {
      queue.push(line)
      start()
    },
    async flush(graceMs) {
      if (writing !== undefined) await withTimeout(graceMs, writing, NEVER)
    },
  }
}

function takeBatch(queue: LineQueue<string>): Buffer {
  const lines: Buffer[] = []
  let bytes = 0
  while (bytes < BATCH_BYTES) {
    const line = queue.shift()
    if (line === undefined) break
    lines.push(Buffer.from(line))
    bytes += Buffer.byteLength(line)
  }
  return Buffer.concat(lines)
}

/** Opened at the first line; /proc, where this looks, is never frozen. */
function openSink(fd: number): Sink {
  const stats = fstatSync(fd)
  if (stats.isSocket()) return socketSink(fd)
  if (!stats.isFIFO() && !stats.isCharacterDevice()) return fileSink(fd)
  const own = reopened(fd, stats)
  return own !== undefined && stats.isFIFO() ? socketSink(own) : fileSink(own ?? fd)
}

/**
 * The same pipe or terminal with O_NONBLOCK, which on the descriptor itself would hold for all processes that share it.
 * Undefined where another user's pipe may not be opened.
 */
function reopened(fd: number, { ino, rdev }: Stats): number | undefined {
  try {
    const own = openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
    const stats = fstatSync(own)
    if (stats.ino === ino && stats.rdev === rdev) return own
    closeSync(own)
  } catch {}
  return undefined
}

const writeTo = promisify(write)

function fileSink(fd: number): Sink {
  return async (bytes) => {
    for (let at = 0; at < bytes.length; ) {
      try {
        at += (await writeTo(fd, bytes, at)).bytesWritten
      } catch (error) {
        if (errnoOf(error) !== 'EAGAIN') throw error
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref())
      }
    }
  }
}

/**
 * For sockets and pipes, which report when they take more. Node makes a socket non-blocking for all processes that have
 * it; a service manager, as a rule, passes one to this process alone.
 */
function socketSink(fd: number): Sink {
  const socket = new Socket({ fd, readable: false, writable: true })
  socket.on('error', () => {}).unref()
  return (bytes) =>
    new Promise((resolve, reject) => {
      socket.write(bytes, (error) => (error ? reject(error) : resolve()))
    })
}
