import type { Hold } from '../budget/budget.ts'
import { checkDownload, openDownload } from '../filesystem/download.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { loopTurns } from '../lib/turns.ts'
import { MAX_COUNTED_BYTES, MAX_LINES_BYTES } from './limits.ts'
import { type LineRange, LineReader, type TextLine } from './line-reader.ts'

interface ReadLinesOptions extends LineRange {
  /** Absolute. */
  readonly path: string
  readonly owner: FileUser
  readonly signal: AbortSignal
  /** Counts what is in memory; the caller releases it. */
  readonly hold: Hold
}

/** Some lines of a file. */
interface LinesRead {
  readonly lines: readonly TextLine[]
  /** Of the whole file; undefined: it has more than 1 GiB, and was not read to its end. */
  readonly total: number | undefined
  readonly more: boolean
  /** Undefined: it has none, as in /proc. */
  readonly tag: string | undefined
}

/** One read; it is looked through in less than a millisecond. */
const READ_BYTES = 256 * 1024

/** Reads lines of a file, in constant memory but for them. Rejects with AppError, as a download does. */
export async function readLines({ path, owner, signal, hold, ...range }: ReadLinesOptions): Promise<LinesRead> {
  await checkDownload(path, owner)
  const file = await openDownload(path, owner, hold)
  try {
    hold.grow(READ_BYTES + MAX_LINES_BYTES)
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
    const reader = new LineReader(range)
    let piece = file.head
    let read = 0
    while (piece.length > 0 && read < MAX_COUNTED_BYTES) {
      // Many calls that read at the same time share the event loop.
      const turn = loopTurns.turn(reader)
      if (turn !== undefined) await turn
      reader.push(piece)
      read += piece.length
      signal.throwIfAborted()
      const bytes = file.size === file.head.length ? 0 : await file.read(buffer, file.size === undefined ? null : read)
      piece = buffer.subarray(0, bytes)
    }
    const ended = piece.length === 0
    if (ended) reader.end()
    const last = reader.lines.at(-1)?.number ?? range.from - 1
    const total = ended ? reader.total : undefined
    return { lines: reader.lines, total, more: total === undefined || last < total, tag: file.tag }
  } finally {
    await file.close()
  }
}
