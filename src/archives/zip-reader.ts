import { isUtf8 } from 'node:buffer'
import { constants } from 'node:fs'
import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { type Entry, fromRandomAccessReaderPromise, getFileNameLowLevel, RandomAccessReader, type ZipFile } from 'yauzl'
import { AppError, errnoOf } from '../errors.ts'
import { createTimeSlice } from '../lib/time-slice.ts'
import { statFile } from '../native/file-calls.ts'
import { MAX_PATH_BYTES } from './limits.ts'
import type { ArchiveEntry } from './tar-entry.ts'
import { badArchive } from './tar-fields.ts'
import type { ArchiveEvent } from './tar-reader.ts'
import { WindowedFile } from './windowed-file.ts'

/** Each takes 16 bytes while it is looked for overlaps. */
const MAX_MEMBERS = 250_000
const [STORED, DEFLATED] = [0, 8]
/** Systems that have the mode in the upper half of the attributes: Unix and macOS. */
const UNIX: ReadonlySet<number> = new Set([3, 19])
const LOCAL_HEADER_BYTES = 30
const UTF8_NAME = 0x0800
const OPTIONS = { lazyEntries: true, autoClose: false, decodeStrings: false } as const

/**
 * What an open zip archive holds, in the order of its directory; contents are checked against their sizes and sums
 * before their last piece comes. Throws AppError invalid_argument for a damaged archive, members that overlap, that are
 * encrypted or packed by another method than deflate, devices, and more than `maxEntries`. Does not close the
 * descriptor.
 */
export async function* readZip(fd: number, maxEntries: number): AsyncGenerator<ArchiveEvent> {
  const source = new WindowedFile(fd)
  const reader = new FileReader(source)
  try {
    const size = Number((await statFile(fd)).size)
    const open = () => fromRandomAccessReaderPromise(reader, size, OPTIONS)
    await checkOverlaps(await open(), Math.min(maxEntries, MAX_MEMBERS))
    const file = await open()
    for await (const member of file.eachEntry()) yield* eventsOf(file, member)
  } catch (error) {
    // The library's own errors have no errno.
    if (!(error instanceof Error) || error instanceof AppError || errnoOf(error) !== undefined) throw error
    throw badArchive(error.message)
  } finally {
    await source.settled()
  }
}

/** Reads as the library's own does, but for Node's thread pool, which what hangs would keep from all others. */
class FileReader extends RandomAccessReader {
  readonly #source: WindowedFile

  constructor(source: WindowedFile) {
    super()
    this.#source = source
  }

  override _readStreamForRange(start: number, end: number): Readable {
    return Readable.from(this.#source.pieces(start, end), { objectMode: false })
  }

  override read(...[buffer, offset, length, position, callback]: Parameters<RandomAccessReader['read']>): void {
    this.#source.read(buffer.subarray(offset, offset + length), position).then(
      (bytesRead) => callback(bytesRead < length ? new Error('unexpected EOF') : null),
      (error: Error) => callback(error),
    )
  }
}

/** Members that share bytes make a small archive unpack to any size (Fifield, 2019). */
async function checkOverlaps(file: ZipFile, maxEntries: number): Promise<void> {
  if (file.entryCount > maxEntries) throw new AppError('too_large', `the archive has more than ${maxEntries} entries`)
  const [starts, ends] = [new Float64Array(file.entryCount), new Float64Array(file.entryCount)]
  const slice = createTimeSlice()
  let count = 0
  for await (const { relativeOffsetOfLocalHeader: start, fileNameLength, compressedSize } of file.eachEntry()) {
    starts[count] = start
    ends[count++] = start + LOCAL_HEADER_BYTES + fileNameLength + compressedSize
    await slice.next()
  }
  // Some 10 ms each.
  for (const sorted of [starts, ends]) {
    sorted.sort()
    await nextTurn()
  }
  // None overlap if as many have ended before each begins as have begun before it.
  for (let index = 1; index < count; index++)
    if ((starts[index] ?? 0) < (ends[index - 1] ?? 0)) throw badArchive('members of it overlap')
}

async function* eventsOf(file: ZipFile, member: Entry): AsyncGenerator<ArchiveEvent> {
  const entry = entryOf(member)
  if (entry.type === 'link') return yield { entry: { ...entry, size: 0, target: await targetOf(file, member) } }
  yield { entry }
  if (entry.type === 'directory' || member.uncompressedSize === 0) return
  for await (const content of contentOf(file, member)) yield { content }
}

async function targetOf(file: ZipFile, member: Entry): Promise<Buffer> {
  if (member.uncompressedSize > MAX_PATH_BYTES)
    throw badArchive(`link '${nameOf(member)}' has a target that is too long`)
  const pieces: Buffer[] = []
  for await (const piece of contentOf(file, member)) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** Holds one piece back until the sum is known to be right. */
async function* contentOf(file: ZipFile, member: Entry): AsyncGenerator<Buffer> {
  const stream = await file.openReadStreamPromise(member)
  let last: Buffer | undefined
  let sum = 0
  for await (const piece of stream) {
    if (last !== undefined) yield last
    last = piece
    sum = crc32(piece, sum)
  }
  if (sum !== member.crc32) throw badArchive(`entry '${nameOf(member)}' has a wrong checksum`)
  if (last !== undefined) yield last
}

function entryOf(member: Entry): ArchiveEntry {
  const path = nameOf(member)
  if (member.isEncrypted()) throw badArchive(`entry '${path}' is encrypted`)
  if (member.compressionMethod !== STORED && member.compressionMethod !== DEFLATED)
    throw badArchive(`entry '${path}' is compressed by another method than deflate (${member.compressionMethod})`)
  const bits = isUnix(member) ? member.externalFileAttributes >>> 16 : 0
  const type = typeOf(bits, path)
  const permissions = bits & 0o7777
  return {
    ...{ type, path, target: EMPTY, attributes: NONE, ...ownerOf(member) },
    mode: permissions !== 0 ? permissions : type === 'directory' ? 0o755 : 0o644,
    size: type === 'file' ? member.uncompressedSize : 0,
    modified: modifiedOf(member),
  }
}

function typeOf(bits: number, path: Buffer): ArchiveEntry['type'] {
  const kind = bits & constants.S_IFMT
  if (path.at(-1) === SLASH || kind === constants.S_IFDIR) return 'directory'
  if (kind === constants.S_IFLNK) return 'link'
  if (kind === constants.S_IFREG || kind === 0) return 'file'
  throw badArchive(`entry '${path}' is neither file, directory nor link`)
}

function isUnix({ versionMadeBy }: Entry): boolean {
  return UNIX.has(versionMadeBy >> 8)
}

/** Unix writes names as they are; what others write without saying that it is UTF-8 is code page 437. */
function nameOf(member: Entry): Buffer {
  const { fileNameRaw: raw, generalPurposeBitFlag: flags, extraFields } = member
  const asIs = (flags & UTF8_NAME) !== 0 || isUnix(member) || isUtf8(raw)
  const plain = asIs && !extraFields.some(({ id }) => id === UNICODE_PATH)
  return plain && !raw.includes(BACKSLASH)
    ? raw
    : Buffer.from(getFileNameLowLevel(flags, raw, extraFields, isUnix(member)))
}

/** Info-ZIP's `ux`; root where there is none. */
function ownerOf({ extraFields }: Entry): { readonly uid: number; readonly gid: number } {
  const data = extraFields.find(({ id }) => id === OWNERS)?.data
  if (data?.length !== 11 || data[1] !== 4 || data[6] !== 4) return { uid: 0, gid: 0 }
  return { uid: data.readUInt32LE(2), gid: data.readUInt32LE(7) }
}

function modifiedOf(member: Entry): ArchiveEntry['modified'] {
  const milliseconds = member.getLastModDate({ timezone: 'UTC' }).getTime()
  const seconds = Number.isFinite(milliseconds) ? Math.floor(milliseconds / 1000) : 0
  return { seconds, nanoseconds: 0 }
}

const EMPTY = Buffer.alloc(0)
const NONE: ReadonlyMap<string, Buffer> = new Map()
const [SLASH, BACKSLASH] = [0x2f, 0x5c]
const OWNERS = 0x7875
const UNICODE_PATH = 0x7075
