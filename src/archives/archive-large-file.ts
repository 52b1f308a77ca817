import { freeNow } from '../budget/memory.ts'
import { closeFile, readInto, statFile } from '../native/file-calls.ts'
import { type FilePiece, filePieces, tarHeader } from '../native/tree.ts'
import { BLOCK_BYTES } from './tar-fields.ts'

/** Bytes of a large file that are read at once. */
export const PIECE_BYTES = 256 * 1024
const EMPTY = Buffer.alloc(0)

/** The end of every archive: two empty blocks. */
export const TAR_END = Buffer.alloc(2 * BLOCK_BYTES)

/** Bytes behind a content of that length, so that the next header begins at a block. */
export function tarPadding(size: number): Buffer {
  return TAR_END.subarray(0, (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES)
}

interface LargeFile {
  readonly facts: Buffer
  readonly name: Buffer
  /** Names of owners (`packOwners`). */
  readonly owners: Buffer
  /** Holes are left out, as GNU tar does (`--format=pax --sparse`); else they are zeros. */
  readonly holes: boolean
  /** The bytes of each piece are freed when the next one is asked for. */
  readonly frees: boolean
  /** Called if it has become shorter than announced. */
  readonly onCut: () => void
}

/**
 * An open file as an entry of a tar archive. What is missing of it in the end is zeros. Closes the descriptor; rejects
 * with the system error of fstat(2).
 */
export async function* archiveLargeFile(fd: number, file: LargeFile): AsyncGenerator<Buffer> {
  const { facts, name, owners, frees, onCut } = file
  try {
    const status = await statFile(fd)
    const size = Number(status.size)
    const found = file.holes && Number(status.blocks) * STAT_BLOCK_BYTES < size ? await piecesOf(fd) : undefined
    const map = found && mapOf(found, size)
    const pieces = found ?? [{ offset: 0, length: size }]
    const content = pieces.reduce((sum, { length }) => sum + length, 0)
    const parts = { facts, name, owners, link: EMPTY, type: 'file' } as const
    yield tarHeader({ ...parts, size: content + (map?.length ?? 0), realSize: map && size })
    if (map !== undefined) yield map
    let cut = false
    for (const piece of pieces) cut = (yield* pieceOf(fd, piece, { cut, frees })) || cut
    if (cut) onCut()
    yield tarPadding(content)
  } finally {
    await closeFile(fd)
  }
}

/** Unit of `blocks` (stat(2)). */
const STAT_BLOCK_BYTES = 512
/** A file with more holes has them filled up: readers have limits, and its map would be megabytes. */
const MAX_PIECES = 10_000

/** Undefined: they cannot be found out, or are too many. */
function piecesOf(fd: number): Promise<FilePiece[] | undefined> {
  return filePieces(fd, MAX_PIECES).catch(() => undefined)
}

/** Where the pieces of a file with holes belong, as GNU tar has it before them: decimal numbers in whole blocks. */
function mapOf(pieces: readonly FilePiece[], size: number): Buffer {
  const last = pieces.at(-1)
  const hasEnd = last !== undefined && last.offset + last.length === size
  const all = hasEnd ? pieces : [...pieces, { offset: size, length: 0 }]
  const numbers = [all.length, ...all.flatMap(({ offset, length }) => [offset, length])]
  const text = Buffer.from(numbers.map((number) => `${number}\n`).join(''))
  return Buffer.concat([text, tarPadding(text.length)])
}

/** Returns whether it was cut: what is missing is zeros. */
async function* pieceOf(
  fd: number,
  { offset, length }: FilePiece,
  { cut, frees }: { readonly cut: boolean; readonly frees: boolean },
): AsyncGenerator<Buffer, boolean> {
  let left = length
  for (let bytes = cut ? 0 : 1; left > 0 && bytes > 0; left -= bytes) {
    const buffer = Buffer.allocUnsafeSlow(Math.min(left, PIECE_BYTES))
    bytes = await readBytes(fd, buffer, offset + length - left)
    if (bytes > 0) yield buffer.subarray(0, bytes)
    // Left to the garbage collector, it takes most of the time.
    if (frees) freeNow(buffer)
  }
  const missing = left > 0
  for (; left > 0; left -= Math.min(left, PIECE_BYTES)) yield Buffer.alloc(Math.min(left, PIECE_BYTES))
  return missing
}

/** 0: the end, also for a file that cannot be read any more. */
function readBytes(fd: number, buffer: Buffer, position: number): Promise<number> {
  return readInto(fd, buffer, position).catch(() => 0)
}
