import { constants } from 'node:fs'
import { promisify } from 'node:util'
import { crc32, createDeflateRaw, type DeflateRaw, deflateRaw } from 'node:zlib'
import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import type { ArchiveEntry } from './tar-entry.ts'
import { TarReader } from './tar-reader.ts'
import { dataDescriptor, directoryEntry, localHeader, type ZipContent, type ZipMember, zipEnd } from './zip-headers.ts'

/** Files up to this size have their size in front of them, so that they can be read as they come. */
const WHOLE_BYTES = 64 * 1024
/** Files from here on have fields of 8 bytes; deflate may make a file a little longer. */
const LARGE_BYTES = 0xff000000
/** Of the directory at the end, which is held in memory: some 150,000 entries. */
const MAX_DIRECTORY_BYTES = 16 * 1024 * 1024
/** What `zip` does by default costs twice the time for a twentieth of the size. */
const LEVEL = 3
const TYPES = {
  file: constants.S_IFREG,
  'hard link': constants.S_IFREG,
  link: constants.S_IFLNK,
  directory: constants.S_IFDIR,
} as const

const deflate = promisify(deflateRaw)

/** A member whose content is still coming. */
interface Current {
  readonly member: ZipMember
  left: number
  /** Content of a small file. */
  readonly chunks: Buffer[]
  readonly stream: StreamedContent | undefined
}

/**
 * Makes a zip archive of a tar archive that has no hard links: links as Info-ZIP keeps them, owners and modes of Unix,
 * times, 64-bit fields where they are needed. Attributes are lost. Its directory is counted in `hold`, which the caller
 * releases. Rejects with AppError too_large and budget_spent, and as the source does.
 */
export async function* zipOfTar(tar: AsyncIterable<Buffer>, hold: Hold): AsyncGenerator<Buffer> {
  const reader = new TarReader()
  const writer = new ZipWriter(hold)
  try {
    for await (const chunk of tar)
      for (const event of reader.push(chunk))
        yield* 'entry' in event ? writer.begin(event.entry) : writer.content(event.content)
    reader.end()
    yield* writer.end()
  } finally {
    writer.close()
  }
}

class ZipWriter {
  readonly #hold: Hold
  #directory: Buffer[] = []
  #directoryBytes = 0
  #offset = 0
  #current: Current | undefined

  constructor(hold: Hold) {
    this.#hold = hold
  }

  async *begin(entry: ArchiveEntry): AsyncGenerator<Buffer> {
    const member = memberOf(entry)
    if (entry.size > 0) this.#current = { member, left: entry.size, chunks: [], stream: undefined }
    if (!member.streamed) {
      if (entry.size === 0) yield* this.#whole(member, entry.type === 'link' ? entry.target : EMPTY)
      return
    }
    const header = localHeader(member, NOTHING)
    this.#current = { member, left: entry.size, chunks: [], stream: new StreamedContent(this.#offset) }
    this.#offset += header.length
    yield header
  }

  async *content(piece: Buffer): AsyncGenerator<Buffer> {
    const current = this.#current
    if (current === undefined) return
    current.left -= piece.length
    if (current.stream !== undefined) return yield* this.#streamed(current.stream, piece, current)
    current.chunks.push(piece)
    if (current.left > 0) return
    this.#current = undefined
    yield* this.#whole(current.member, Buffer.concat(current.chunks))
  }

  async *end(): AsyncGenerator<Buffer> {
    const [entries, start] = [this.#directory.length, this.#offset]
    yield* this.#directory
    yield zipEnd(entries, this.#directoryBytes, start)
  }

  close(): void {
    this.#current?.stream?.close()
    this.#directory = []
  }

  async *#whole(member: ZipMember, bytes: Buffer): AsyncGenerator<Buffer> {
    const crc = crc32(bytes)
    const packed = member.deflated ? await deflate(bytes, { level: LEVEL }) : bytes
    const smaller = packed.length < bytes.length
    const as = { ...member, deflated: member.deflated && smaller }
    const content = { crc, compressed: smaller ? packed.length : bytes.length, size: bytes.length }
    const header = localHeader(as, content)
    this.#add(as, content, this.#offset)
    this.#offset += header.length + content.compressed
    yield Buffer.concat([header, smaller ? packed : bytes])
  }

  async *#streamed(stream: StreamedContent, piece: Buffer, { left, member }: Current): AsyncGenerator<Buffer> {
    for (const bytes of await stream.push(piece, left === 0)) {
      this.#offset += bytes.length
      yield bytes
    }
    if (left > 0) return
    this.#current = undefined
    const { content, offset } = stream
    const descriptor = dataDescriptor(member, content)
    this.#add(member, content, offset)
    this.#offset += descriptor.length
    yield descriptor
  }

  #add(member: ZipMember, content: ZipContent, offset: number): void {
    const entry = directoryEntry({ ...member, ...content, offset })
    this.#hold.grow(entry.length)
    this.#directoryBytes += entry.length
    if (this.#directoryBytes > MAX_DIRECTORY_BYTES)
      throw new AppError('too_large', 'the directory has too many entries for a zip archive: take a tar archive')
    this.#directory.push(entry)
  }
}

/** The content of one large file, on its way through deflate. */
class StreamedContent {
  readonly offset: number
  readonly #deflate: DeflateRaw = createDeflateRaw({ level: LEVEL, chunkSize: 64 * 1024 })
  #out: Buffer[] = []
  #failed: Error | undefined
  #crc = 0
  #size = 0
  #compressed = 0

  /** @param offset of its header in the archive */
  constructor(offset: number) {
    this.offset = offset
    this.#deflate.on('data', (chunk: Buffer) => this.#out.push(chunk))
    this.#deflate.on('error', (error) => {
      this.#failed = error
    })
  }

  get content(): ZipContent {
    return { crc: this.#crc, compressed: this.#compressed, size: this.#size }
  }

  /** Resolves with what has come of it so far. Rejects with the error of zlib. */
  async push(piece: Buffer, last: boolean): Promise<Buffer[]> {
    this.#crc = crc32(piece, this.#crc)
    this.#size += piece.length
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error | null) => (error ? reject(error) : resolve())
      if (last) this.#deflate.once('end', done).once('error', done).end(piece)
      else this.#deflate.write(piece, done)
    })
    if (this.#failed !== undefined) throw this.#failed
    const out = this.#out
    this.#out = []
    for (const { length } of out) this.#compressed += length
    return out
  }

  close(): void {
    this.#deflate.destroy()
  }
}

const NOTHING: ZipContent = { crc: 0, compressed: 0, size: 0 }
const EMPTY = Buffer.alloc(0)
const SLASH = Buffer.from('/')

function memberOf({ type, path, mode, uid, gid, modified, size }: ArchiveEntry): ZipMember {
  const name = type === 'directory' && path.at(-1) !== SLASH[0] ? Buffer.concat([path, SLASH]) : path
  return {
    ...{ name, uid, gid, modified: modified.seconds },
    mode: mode | TYPES[type],
    deflated: type === 'file' && size > 0,
    streamed: size > WHOLE_BYTES,
    large: size >= LARGE_BYTES,
  }
}
