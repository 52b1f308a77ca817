import { constants } from 'node:fs'
import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { SNIFF_BYTES } from '../lib/sniff-content-type.ts'
import { unpackStatus, unpackVersion, VERSION_BYTES } from '../native/entries.ts'
import { closeFile, type FileStatus, readInto, statFile } from '../native/file-calls.ts'
import { type Actor, openToRead, readFile, readStatus } from '../native/files.ts'
import { settledTag, settledVersion } from './entity-tag.ts'
import { isKind } from './entry.ts'
import { failure, failureKind, fileErrno } from './failure.ts'
import { permitted } from './file-user.ts'

/** Files below this are read whole on opening: most of them, and all of the kernel's, whose size cannot be trusted. */
export const SMALL_BYTES = 64 * 1024

const NS = 1_000_000_000n

/** makedev(1, 3): `/dev/null`, the one device that may be read, because nothing comes of it. */
const NULL_DEVICE = 0x103

/** An open file; the one that has it closes it. */
export interface Download {
  /** Bytes; undefined where the filesystem does not know, as in /proc. */
  readonly size: number | undefined
  /** Seconds since 1970. */
  readonly modified: number
  /** Its entity tag, as it was before `head` was read; undefined where the size is. */
  readonly tag: string | undefined
  /** The first bytes, enough to detect the type; all of them if `size` is not larger. */
  readonly head: Buffer
  /** read(2) at a position, or, for null, from where the last such read stopped, at first behind `head`. 0: the end. */
  read(buffer: Buffer, position: number | null): Promise<number>
  /** Idempotent; waits for reads that are under way. */
  close(): Promise<void>
}

/**
 * Reads a small file in one trip to the thread pool; undefined for what it takes `checkDownload` and `openDownload` to
 * read or to refuse. Never rejects.
 * @param hold grows by the bytes of `head`; the caller releases it.
 */
export async function readSmallFile(path: string, actor: Actor, hold: Hold): Promise<Download | undefined> {
  if (!hold.tryGrow(SMALL_BYTES)) return undefined
  const packed = await readOrNothing(path, actor)
  hold.shrink(SMALL_BYTES - Math.max(0, packed.length - VERSION_BYTES))
  if (packed.length === 0) return undefined
  const version = unpackVersion(packed)
  const tag = settledTag(version)
  const head = packed.subarray(VERSION_BYTES)
  if (tag !== undefined) return inMemory({ head, size: head.length, modified: secondsOf(version.mtimeNs), tag })
  hold.shrink(head.length)
  return undefined
}

/**
 * All of a small file in one trip to the thread pool; undefined for what it takes `openDownload` to read or to refuse.
 * Never rejects. The result takes up to 64 KiB.
 */
export async function readContent(path: string, actor: Actor): Promise<Buffer | undefined> {
  const packed = await readOrNothing(path, actor)
  return packed.length === 0 ? undefined : packed.subarray(VERSION_BYTES)
}

const NOTHING = Buffer.alloc(0)

async function readOrNothing(path: string, actor: Actor): Promise<Buffer> {
  try {
    return await readFile(Buffer.from(path), actor, SMALL_BYTES - 1)
  } catch {
    // A failure is found again, and named, by what opens the file.
    return NOTHING
  }
}

function inMemory(facts: Pick<Download, 'size' | 'modified' | 'tag' | 'head'>): Download {
  const { head } = facts
  return {
    ...facts,
    read: async (buffer, position) => (position === null ? 0 : head.copy(buffer, 0, position)),
    close: async () => {},
  }
}

/**
 * Makes sure that there is a readable file (contract B16). Rejects with AppError: not_found, invalid_argument for a
 * directory or anything else that is no file, internal.
 */
export async function checkDownload(path: string, actor: Actor): Promise<void> {
  try {
    const { mode, rdev } = unpackStatus(await permitted(path, () => readStatus(Buffer.from(path), actor)))
    checkReadable(mode, Number(rdev), path)
  } catch (error) {
    if (error instanceof AppError) throw error
    if (fileErrno(error) === 'ENOENT') {
      throw new AppError('not_found', `path '${path}' does not exist`, { cause: error })
    }
    throw new AppError(failureKind(error), `error checking if path exists '${path}': ${failure('stat', path, error)}`, {
      cause: error,
    })
  }
}

function checkReadable(mode: number, rdev: number, path: string): void {
  if (isKind(mode, constants.S_IFDIR)) throw new AppError('invalid_argument', `path '${path}' is a directory`)
  if (!isKind(mode, constants.S_IFREG) && !(isKind(mode, constants.S_IFCHR) && rdev === NULL_DEVICE)) {
    throw irregular(path)
  }
}

function irregular(path: string): AppError {
  return new AppError('invalid_argument', `path '${path}' is not a regular file`)
}

/** An open file that is closed when no read of it is under way. */
class Handle {
  readonly fd: number
  readonly #reads = new Set<Promise<number>>()
  #closing: Promise<void> | undefined

  constructor(fd: number) {
    this.fd = fd
  }

  /** As `readInto`. */
  read(buffer: Buffer, position: number | null): Promise<number> {
    if (this.#closing !== undefined) throw new Error('the file is closed')
    const reading = readInto(this.fd, buffer, position).finally(() => this.#reads.delete(reading))
    this.#reads.add(reading)
    return reading
  }

  /** Idempotent. */
  close(): Promise<void> {
    this.#closing ??= Promise.allSettled(this.#reads).then(() => closeFile(this.fd))
    return this.#closing
  }
}

async function openHandle(path: string, actor: Actor): Promise<Handle> {
  const fd = (await permitted(path, () => openToRead(Buffer.from(path), actor))).readInt32LE(0)
  if (fd < 0) throw irregular(path)
  return new Handle(fd)
}

/**
 * Opens a file that `checkDownload` let pass, and looks again at what was opened. Rejects with AppError.
 * @param hold grows by the bytes of `head`; the caller releases it.
 */
export async function openDownload(path: string, actor: Actor, hold?: Hold): Promise<Download> {
  const handle = await openHandle(path, actor).catch((error: unknown) => {
    if (error instanceof AppError) throw error
    throw new AppError(failureKind(error), `error opening file '${path}': ${failure('open', path, error)}`, {
      cause: error,
    })
  })
  try {
    // Before anything is read: what is written later is at worst new content with an old tag, which is refused and read
    // again.
    const { stats, tag } = await settledVersion(() => statFile(handle.fd))
    checkReadable(stats.mode, Number(stats.rdev), path)
    const { head, ended } = await readHead(handle, Number(stats.size), hold)
    const size = sizeOf(stats, head, ended)
    // Files of the kernel that claim to have 0 or 4096 bytes have times that say nothing.
    const known = isKind(stats.mode, constants.S_IFREG) && size === Number(stats.size)
    return toDownload(handle, { head, size, modified: secondsOf(stats.mtimeNs), tag: known ? tag : undefined })
  } catch (error) {
    await handle.close()
    if (error instanceof AppError) throw error
    throw new AppError(failureKind(error), `error reading file '${path}': ${failure('read', path, error)}`, {
      cause: error,
    })
  }
}

/** Kernel files claim 0 or 4096 bytes whatever they hold, so that only reading to the end shows their size. */
async function readHead(handle: Handle, size: number, hold?: Hold): Promise<{ head: Buffer; ended: boolean }> {
  const length = size === 0 ? SMALL_BYTES : size < SMALL_BYTES ? size + 1 : SNIFF_BYTES
  hold?.grow(length)
  const buffer = Buffer.allocUnsafe(length)
  let filled = 0
  let ended = false
  while (filled < length && !ended) {
    const bytesRead = await handle.read(buffer.subarray(filled), null)
    filled += bytesRead
    ended = bytesRead === 0
  }
  hold?.shrink(length - filled)
  // An empty file must not keep the memory of a large one.
  const head = filled < length / 2 ? Buffer.from(buffer.subarray(0, filled)) : buffer.subarray(0, filled)
  return { head, ended }
}

function sizeOf(stats: FileStatus, head: Buffer, ended: boolean): number | undefined {
  if (ended) return head.length
  return stats.size > head.length ? Number(stats.size) : undefined
}

function secondsOf(nanoseconds: bigint): number {
  return Number((nanoseconds - (((nanoseconds % NS) + NS) % NS)) / NS)
}

function toDownload(handle: Handle, facts: Pick<Download, 'head' | 'size' | 'modified' | 'tag'>): Download {
  return {
    ...facts,
    read: (buffer, position) => handle.read(buffer, position),
    close: () => handle.close(),
  }
}
