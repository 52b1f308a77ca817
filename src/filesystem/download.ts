import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { AppError } from '../errors.ts'
import { failure, fileErrno } from './failure.ts'

/** Bytes of one read: large enough that the thread pool's overhead disappears, small enough for many downloads at once. */
const READ_BYTES = 512 * 1024
/** Read on opening: the whole of most files, and enough to tell whether the size can be trusted. */
const HEAD_BYTES = 64 * 1024

/** O_NONBLOCK: a FIFO that takes the file's place meanwhile must not stop the thread (pitfall F14). */
const READ = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY

/** makedev(1, 3): `/dev/null`, the one device that may be read, because nothing comes of it. */
const NULL_DEVICE = 0x103

/** An open file. Whoever has it closes it, or reads `stream` to its end or destroys it. */
export interface Download {
  /** Bytes; undefined where the filesystem does not know, as in /proc. */
  readonly size: number | undefined
  /** Seconds since 1970. */
  readonly modified: number
  /** The first bytes, up to 64 KiB; all of them if `size` is not larger. */
  readonly head: Buffer
  /** `length` bytes from `start` on; errors if the file ends before. Closes the file at its end. */
  range(start: number, length: number): Readable
  /** The same as chunks, for one piece of several; the file stays open. */
  bytes(start: number, length: number): AsyncIterable<Buffer>
  /** Everything, to the end of the file. Closes it then. */
  whole(): Readable
  /** Idempotent; streams that are under way end with an error. */
  close(): Promise<void>
}

/**
 * Makes sure that there is a readable file (contract B16). Rejects with AppError: not_found, invalid_argument for a directory
 * or anything else that is no file, internal.
 */
export async function checkDownload(path: string): Promise<void> {
  try {
    checkReadable(await stat(path), path)
  } catch (error) {
    if (error instanceof AppError) throw error
    if (fileErrno(error) === 'ENOENT') {
      throw new AppError('not_found', `path '${path}' does not exist`, { cause: error })
    }
    throw new AppError('internal', `error checking if path exists '${path}': ${failure('stat', path, error)}`, {
      cause: error,
    })
  }
}

function checkReadable(stats: Stats, path: string): void {
  if (stats.isDirectory()) throw new AppError('invalid_argument', `path '${path}' is a directory`)
  if (!stats.isFile() && !(stats.isCharacterDevice() && stats.rdev === NULL_DEVICE)) {
    throw new AppError('invalid_argument', `path '${path}' is not a regular file`)
  }
}

/** Opens a file that `checkDownload` let pass, and looks again at what was opened. Rejects with AppError. */
export async function openDownload(path: string): Promise<Download> {
  const handle = await open(path, READ).catch((error: unknown) => {
    throw new AppError('internal', `error opening file '${path}': ${failure('open', path, error)}`, { cause: error })
  })
  try {
    const stats = await handle.stat()
    checkReadable(stats, path)
    const { head, ended } = await readHead(handle, stats.size)
    return toDownload(handle, { head, size: sizeOf(stats, head, ended), modified: Math.floor(stats.mtimeMs / 1000) })
  } catch (error) {
    await handle.close()
    if (error instanceof AppError) throw error
    throw new AppError('internal', `error reading file '${path}': ${failure('read', path, error)}`, { cause: error })
  }
}

/** Kernel files claim 0 or 4096 bytes whatever they hold, so that only reading to the end tells. */
async function readHead(handle: FileHandle, size: number): Promise<{ head: Buffer; ended: boolean }> {
  const buffer = Buffer.allocUnsafe(size > 0 && size < HEAD_BYTES ? size + 1 : HEAD_BYTES)
  let filled = 0
  while (filled < buffer.length) {
    const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, filled)
    if (bytesRead === 0) return { head: buffer.subarray(0, filled), ended: true }
    filled += bytesRead
    if (size > 0 && filled >= HEAD_BYTES) break
  }
  return { head: buffer.subarray(0, filled), ended: false }
}

function sizeOf(stats: Stats, head: Buffer, ended: boolean): number | undefined {
  if (ended) return head.length
  return stats.size > head.length ? stats.size : undefined
}

function toDownload(handle: FileHandle, facts: Pick<Download, 'head' | 'size' | 'modified'>): Download {
  const { head } = facts
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= handle.close()
    return closing
  }
  const reader = (start: number, length: number | undefined): NextChunk =>
    length !== undefined && start + length <= head.length
      ? fromMemory(head.subarray(start, start + length))
      : fromFile(handle, start, length)
  return {
    ...facts,
    range: (start, length) => toStream(reader(start, length), close),
    bytes: (start, length) => toIterable(reader(start, length)),
    whole: () => toStream(reader(0, facts.size), close),
    close,
  }
}

/** Gives one chunk after the other, and null at the end. */
type NextChunk = () => Promise<Buffer | null>

function fromMemory(bytes: Buffer): NextChunk {
  let rest: Buffer | null = bytes.length > 0 ? bytes : null
  return async () => {
    const chunk = rest
    rest = null
    return chunk
  }
}

/** A length of undefined means to the end. */
function fromFile(handle: FileHandle, start: number, length: number | undefined): NextChunk {
  let position = start
  let left = length ?? Number.POSITIVE_INFINITY
  return async () => {
    if (left === 0) return null
    const buffer = Buffer.allocUnsafeSlow(Math.min(READ_BYTES, left))
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, position)
    if (bytesRead === 0 && length !== undefined) throw new Error('the file became shorter while it was read')
    position += bytesRead
    left -= bytesRead
    return bytesRead === 0 ? null : buffer.subarray(0, bytesRead)
  }
}

function toStream(next: NextChunk, close: () => Promise<void>): Readable {
  return new Readable({
    highWaterMark: READ_BYTES,
    read() {
      next().then(
        (chunk) => this.push(chunk),
        (error: Error) => this.destroy(error),
      )
    },
    destroy: (error, done) => void close().then(() => done(error), done),
  })
}

async function* toIterable(next: NextChunk): AsyncGenerator<Buffer> {
  for (let chunk = await next(); chunk !== null; chunk = await next()) yield chunk
}
