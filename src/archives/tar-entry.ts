import { integer, type PaxRecords, timeRecord } from './pax-records.ts'
import { BLOCK_BYTES, badArchive, numberField, textField } from './tar-fields.ts'

/** An entry of an archive, as it says. */
export interface ArchiveEntry {
  readonly type: 'file' | 'hard link' | 'link' | 'directory'
  /** As written: possibly absolute, with `..`, or not UTF-8. */
  readonly path: Buffer
  /** Of a link, or the path of the entry that this is another name of. */
  readonly target: Buffer
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Bytes of content in the archive. */
  readonly size: number
  readonly modified: { readonly seconds: number; readonly nanoseconds: number }
  /** By the whole names of extended attributes; one character per byte. */
  readonly attributes: ReadonlyMap<string, Buffer>
  /** Size and pieces of a file with holes. */
  readonly sparse?: { readonly size: number; readonly pieces: readonly SparsePiece[] } | undefined
}

/** Where a piece of the content belongs in a file with holes; the pieces come one after the other. */
export interface SparsePiece {
  readonly offset: number
  readonly length: number
}

const TYPES: Readonly<Record<string, ArchiveEntry['type']>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'hard link',
  '2': 'link',
  '5': 'directory',
}
const NONE: ReadonlyMap<string, Buffer> = new Map()

/** The entry of a header block whose checksum is right. Throws AppError, also for devices and pipes. */
export function entryOf(
  block: Buffer,
  flag: string,
  {
    records,
    longName,
    longTarget,
  }: {
    readonly records: PaxRecords | undefined
    readonly longName: Buffer | undefined
    readonly longTarget: Buffer | undefined
  },
): ArchiveEntry {
  const texts = records?.texts ?? NONE
  const path = texts.get('GNU.sparse.name') ?? texts.get('path') ?? longName ?? nameOf(block)
  const type = TYPES[flag]
  if (type === undefined)
    throw badArchive(`entry '${path}' is neither file, directory nor link (type '${visible(flag)}')`)
  const number = (key: string, at: number, length: number) => {
    const text = texts.get(key)
    return text === undefined ? numberField(block, at, length) : integer(key, text)
  }
  const time = texts.get('mtime')
  const size = number('size', 124, 12)
  if (size < 0) throw badArchive(`entry '${path}' has a negative size`)
  return {
    // Archives of the 1980s mark directories by their names only.
    type: type === 'file' && path.at(-1) === SLASH ? 'directory' : type,
    path,
    target: texts.get('linkpath') ?? longTarget ?? Buffer.from(textField(block, 157, 100)),
    mode: numberField(block, 100, 8) & 0o7777,
    uid: number('uid', 108, 8),
    gid: number('gid', 116, 8),
    size: type === 'file' ? size : 0,
    modified: time === undefined ? { seconds: numberField(block, 136, 12), nanoseconds: 0 } : timeRecord(time),
    attributes: records?.attributes ?? NONE,
  }
}

const SLASH = 0x2f

function visible(flag: string): string {
  return /[!-~]/.test(flag) ? flag : `0x${flag.charCodeAt(0).toString(16)}`
}

/** Copies, as blocks are views into what was received. */
function nameOf(block: Buffer): Buffer {
  const name = Buffer.from(textField(block, 0, 100))
  // GNU tar has other things there.
  const posix = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = posix ? textField(block, 345, 155) : EMPTY
  return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name])
}

const EMPTY = Buffer.alloc(0)
/** Pieces of one file: 16 MiB of its archive. */
const MAX_PIECES = 65_536

/**
 * Collects the pieces of a file with holes, and checks them: in order, within the file, as much as there is content.
 */
export function sparseEntry(entry: ArchiveEntry, size: number, numbers: readonly number[], used = 0): ArchiveEntry {
  const pieces: SparsePiece[] = []
  let end = 0
  let total = 0
  for (let index = 0; index + 1 < numbers.length; index += 2) {
    const [offset = 0, length = 0] = [numbers[index], numbers[index + 1]]
    if (offset < end || length < 0 || offset + length > size) throw wrongHoles(entry)
    end = offset + length
    total += length
    if (length > 0) pieces.push({ offset, length })
  }
  const wrong = numbers.length % 2 !== 0 || !Number.isSafeInteger(size) || total !== entry.size - used
  if (wrong || pieces.length > MAX_PIECES) throw wrongHoles(entry)
  return { ...entry, size: total, sparse: { size, pieces } }
}

/** Offsets and lengths in a header of GNU tar's old format, or in a block that continues it. */
function sparseNumbers(block: Buffer, at: number, count: number): number[] {
  const numbers: number[] = []
  for (let field = at; field < at + count * 24; field += 12) numbers.push(numberField(block, field, 12))
  // Unused ones are empty.
  while (numbers.length > 1 && numbers.at(-1) === 0 && numbers.at(-2) === 0) numbers.length -= 2
  return numbers
}

/** A header of GNU tar's old format for sparse files: four pieces, and whether blocks with more follow. */
export function oldSparse(block: Buffer) {
  return { numbers: sparseNumbers(block, 386, 4), continued: block[482] === 1, size: numberField(block, 483, 12) }
}

/** A block that follows one, with 21 more pieces. */
export function moreSparse(block: Buffer) {
  return { numbers: sparseNumbers(block, 0, 21), continued: block[BLOCK_BYTES - 8] === 1 }
}

/** The error for holes that do not go with their file. */
export function wrongHoles({ path }: ArchiveEntry): Error {
  return badArchive(`entry '${path}' has wrong holes`)
}
