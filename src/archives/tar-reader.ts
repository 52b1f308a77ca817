import { integer, type PaxRecords, paxRecords } from './pax-records.ts'
import { type ArchiveEntry, entryOf, moreSparse, oldSparse, sparseEntry, wrongHoles } from './tar-entry.ts'
import { BLOCK_BYTES, badArchive, hasChecksum, numberField } from './tar-fields.ts'

/** An entry, or the next bytes of the content of the last one: a view into the chunk that was read. */
export type ArchiveEvent = { readonly entry: ArchiveEntry } | { readonly content: Buffer }

/** Bytes of one extended header; a path has 4 KiB, an attribute 64 KiB at most. */
export const MAX_EXTENDED_BYTES = 1024 * 1024
/** Bytes behind the end: writers fill up their last record, of 10 KiB as a rule. */
const MAX_TRAILING_BYTES = 1024 * 1024
/** Numbers that the list of pieces of a file with holes begins with, and digits of one. */
const MAX_MAP_NUMBERS = 131_073
/** Bytes of such a list in the content: each number has 16 digits at most, and a newline. */
const MAX_MAP_BYTES = MAX_MAP_NUMBERS * 17
const EXTENDED = new Set(['x', 'g', 'L', 'K'])
/** The name of the volume. */
const LABEL = 'V'

/**
 * Reads a tar archive from chunks of any size: v7, ustar, pax and GNU, with files that have holes. In memory are a
 * block and an extended header of at most `MAX_EXTENDED_BYTES`. Throws AppError invalid_argument for what is no
 * archive; it must not be used then.
 */
export class TarReader {
  #use: (bytes: Buffer) => ArchiveEntry | undefined = (block) => this.#readHeader(block)
  #wanted = BLOCK_BYTES
  #collected: Buffer | undefined
  #filled = 0
  #contentLeft = 0
  #padding = 0
  #over = false
  #trailing = 0
  #globals: PaxRecords | undefined
  #records: PaxRecords | undefined
  #longName: Buffer | undefined
  #longTarget: Buffer | undefined;

  /** What the next bytes hold. */
  *push(chunk: Buffer): Generator<ArchiveEvent> {
    for (let at = 0; at < chunk.length && !this.#over; ) {
      if (this.#contentLeft > 0) {
        const content = chunk.subarray(at, at + this.#contentLeft)
        this.#contentLeft -= content.length
        at += content.length
        yield { content }
      } else if (this.#padding > 0) {
        const skipped = Math.min(this.#padding, chunk.length - at)
        this.#padding -= skipped
        at += skipped
      } else {
        const missing = this.#wanted - this.#filled
        const bytes = this.#collect(chunk, at)
        at += Math.min(missing, chunk.length - at)
        const entry = bytes && this.#use(bytes)
        if (this.#over) this.#trailing -= at
        if (entry !== undefined) yield { entry }
      }
    }
    if (this.#over) this.#trailing += chunk.length
    if (this.#trailing > MAX_TRAILING_BYTES) throw badArchive('there is more behind its end')
  }

  /** To be called after the last byte. Throws AppError unless the archive has come to its end. */
  end(): void {
    if (!this.#over) throw badArchive('unexpected EOF')
  }

  /** The wanted bytes, once all are there. */
  #collect(chunk: Buffer, at: number): Buffer | undefined {
    if (this.#collected === undefined && chunk.length - at >= this.#wanted) return chunk.subarray(at, at + this.#wanted)
    this.#collected ??= Buffer.allocUnsafe(this.#wanted)
    this.#filled += chunk.copy(this.#collected, this.#filled, at)
    if (this.#filled < this.#wanted) return undefined
    const whole = this.#collected
    this.#collected = undefined
    this.#filled = 0
    return whole
  }

  #want(bytes: number, use: (bytes: Buffer) => ArchiveEntry | undefined): undefined {
    this.#wanted = bytes
    this.#use = use
  }

  #readHeader(block: Buffer): ArchiveEntry | undefined {
    if (block[0] === 0 && block.equals(ZEROS)) {
      this.#over = true
      return undefined
    }
    if (!hasChecksum(block)) throw badArchive('the checksum of a header is wrong')
    const flag = String.fromCharCode(block[156] ?? 0)
    if (EXTENDED.has(flag)) return this.#wantExtended(block, flag)
    if (flag === LABEL) return undefined
    const [records, longName, longTarget] = [this.#records ?? this.#globals, this.#longName, this.#longTarget]
    this.#records = this.#longName = this.#longTarget = undefined
    const entry = entryOf(block, flag, { records, longName, longTarget })
    if (flag === 'S') return this.#oldSparse(entry, block)
    return entry.type === 'file' ? this.#sparse(entry, records) : this.#begin(entry, entry.size)
  }

  #wantExtended(block: Buffer, flag: string): undefined {
    const size = numberField(block, 124, 12)
    if (size < 0 || size > MAX_EXTENDED_BYTES)
      throw badArchive(`an extended header has more than ${MAX_EXTENDED_BYTES} bytes`)
    const use = (content: Buffer) => {
      if (flag === 'x') this.#records = paxRecords(content, this.#records ?? this.#globals)
      else if (flag === 'g') this.#globals = paxRecords(content, this.#globals)
      else if (flag === 'L') this.#longName = untilZero(content)
      else this.#longTarget = untilZero(content)
      this.#padding = paddingOf(size)
      this.#want(BLOCK_BYTES, (next) => this.#readHeader(next))
      return undefined
    }
    if (size === 0) use(Buffer.alloc(0))
    else this.#want(size, use)
  }

  /** The entry, unless more must be read to know where its pieces are. */
  #sparse(entry: ArchiveEntry, records: PaxRecords | undefined): ArchiveEntry | undefined {
    const texts = records?.texts
    const real = texts?.get('GNU.sparse.realsize') ?? texts?.get('GNU.sparse.size')
    if (real === undefined) return this.#begin(entry, entry.size)
    const size = integer('GNU.sparse.size', real)
    if (texts?.get('GNU.sparse.major')?.toString() === '1') return this.#mapInContent(entry, size)
    const map = texts?.get('GNU.sparse.map')
    const numbers = map === undefined ? (records?.pieces ?? []) : numbersOf(map.toString('latin1').split(','))
    return this.#begin(sparseEntry(entry, size, numbers), entry.size)
  }

  #oldSparse(entry: ArchiveEntry, block: Buffer): ArchiveEntry | undefined {
    const { numbers, continued, size } = oldSparse(block)
    const whole = () => this.#begin(sparseEntry(entry, size, numbers), entry.size)
    if (!continued) return whole()
    return this.#want(BLOCK_BYTES, (next) => {
      const more = moreSparse(next)
      numbers.push(...more.numbers)
      if (numbers.length > MAX_MAP_NUMBERS) throw wrongHoles(entry)
      return more.continued ? undefined : whole()
    })
  }

  #mapInContent(entry: ArchiveEntry, size: number): undefined {
    let text = ''
    let lines = 0
    let count = MAX_MAP_NUMBERS
    let bytes = 0
    this.#want(BLOCK_BYTES, (block) => {
      bytes += BLOCK_BYTES
      const piece = block.toString('latin1')
      text += piece
      lines += piece.split('\n').length - 1
      if (bytes === BLOCK_BYTES) count = 1 + 2 * Number(/^\d{1,6}(?=\n)/.exec(text)?.[0] ?? MAX_MAP_NUMBERS)
      if (bytes > Math.min(entry.size, MAX_MAP_BYTES) || count > MAX_MAP_NUMBERS) throw wrongHoles(entry)
      if (lines < count) return undefined
      const numbers = numbersOf(text.split('\n').slice(1, count))
      return this.#begin(sparseEntry(entry, size, numbers, bytes), entry.size - bytes)
    })
  }

  #begin(entry: ArchiveEntry, bytes: number): ArchiveEntry {
    this.#contentLeft = bytes
    this.#padding = paddingOf(bytes)
    this.#want(BLOCK_BYTES, (block) => this.#readHeader(block))
    return entry
  }
}

const ZEROS = Buffer.alloc(BLOCK_BYTES)

function paddingOf(size: number): number {
  return (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES
}

/** A copy. */
function untilZero(content: Buffer): Buffer {
  const end = content.indexOf(0)
  return Buffer.from(content.subarray(0, end < 0 ? content.length : end))
}

function numbersOf(texts: readonly string[]): number[] {
  return texts.map((text) => integer('an offset', Buffer.from(text, 'latin1')))
}
