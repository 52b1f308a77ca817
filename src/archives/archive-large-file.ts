import { close, fstat, read } from 'node:fs'
import { promisify } from 'node:util'
import { tarHeader } from '../native/tree.ts'
import { BLOCK_BYTES } from './tar-fields.ts'

/** Bytes of a large file that are read at once. */
export const PIECE_BYTES = 256 * 1024
const EMPTY = Buffer.alloc(0)

const closeFile = promisify(close)
const readFile = promisify(read)
const statFile = promisify(fstat)

/** The end of every archive: two empty blocks. */
export const TAR_END = Buffer.alloc(2 * BLOCK_BYTES)

/** Bytes behind a content of that length, so that the next header begins at a block. */
export function tarPadding(size: number): Buffer {
  return TAR_END.subarray(0, (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES)
}

interface LargeFile {
  readonly facts: Buffer
  readonly name: Buffer
  /** Called if it has become shorter than announced. */
  readonly onCut: () => void
}

/**
 * An open file as an entry of a tar archive. What is missing of it in the end is zeros. Closes the descriptor; rejects
 * with the system error of fstat(2).
 */
export async function* archiveLargeFile(fd: number, { facts, name, onCut }: LargeFile): AsyncGenerator<Buffer> {
  try {
    const { size } = await statFile(fd)
    yield tarHeader({ facts, name, link: EMPTY, type: 'file', size })
    let left = size
    for (let bytes = 1; left > 0 && bytes > 0; left -= bytes) {
      const buffer = Buffer.allocUnsafeSlow(Math.min(left, PIECE_BYTES))
      bytes = await readBytes(fd, buffer)
      if (bytes > 0) yield buffer.subarray(0, bytes)
    }
    if (left > 0) onCut()
    for (; left > 0; left -= Math.min(left, PIECE_BYTES)) yield Buffer.alloc(Math.min(left, PIECE_BYTES))
    yield tarPadding(size)
  } finally {
    await closeFile(fd)
  }
}

/** 0: the end, also for a file that cannot be read any more. */
function readBytes(fd: number, buffer: Buffer): Promise<number> {
  return readFile(fd, buffer, 0, buffer.length, null).then(
    ({ bytesRead }) => bytesRead,
    () => 0,
  )
}
