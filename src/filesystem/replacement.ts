import { close } from 'node:fs'
import { promisify } from 'node:util'
import type { Hold } from '../budget/budget.ts'
import { moveContent, openStage } from '../native/files.ts'
import { createFileSink, type FileSink } from './file-sink.ts'
import { emptyFile } from './open-anew.ts'
import type { WriteGuard } from './write-guard.ts'
import { withWriteSlot } from './write-semaphore.ts'

/** What is to be replaced. */
interface ReplacementOptions {
  /** The open target, which has its old content. */
  readonly fd: number
  /** Counts what waits for the disk, beside what waits for the end of the upload. The caller releases it. */
  readonly hold: Hold
  /** Bytes that will come, as far as is known: a target whose disk has no room for both contents is written at once. */
  readonly expected: number
  /** Checked before the old content goes, and held while it is replaced. */
  readonly guard?: WriteGuard | undefined
}

/** A sink for the new content of a file. */
interface Replacement extends FileSink {
  /** The old content is gone, wholly or in part. */
  readonly begun: boolean
  /** Releases what it holds; call it once, when it is settled. Does not close the target. */
  release(): Promise<void>
}

const closeFile = promisify(close)

/** Bytes of one upload that wait in memory for its end: small ones need no second file. */
const HELD_BYTES = 64 * 1024
/** Of all uploads together; then they go to the disk at once. */
const ALL_HELD_BYTES = 8 * 1024 * 1024
/** Copied in one piece of work, so that a large file does not take a thread for long. */
const MOVED_BYTES = 32 * 1024 * 1024

let allHeld = 0

/**
 * Replaces the content of an open file by what is written, once that has ended: until then the old content stays,
 * whatever happens to the client or the daemon. What comes waits in memory, then in a file without a name beside the
 * target, from where it is copied; the target keeps its inode with all that belongs to it. Where there can be no such
 * file, the target is written in place from then on.
 */
export function createReplacement({ fd, hold, expected, guard }: ReplacementOptions): Replacement {
  let held: Buffer[] = []
  let heldBytes = 0
  let staged: { readonly fd: number; readonly sink: FileSink } | undefined
  let inPlace: FileSink | undefined
  let opening: Promise<void> | undefined
  let written = 0
  let begun = false

  const takeHeld = (): Buffer[] => {
    const chunks = held
    allHeld -= heldBytes
    held = []
    heldBytes = 0
    return chunks
  }
  const beginInPlace = async (): Promise<FileSink> => {
    await guard?.check()
    begun = true
    await withWriteSlot(() => emptyFile(fd, 0))
    inPlace = createFileSink(fd, hold)
    return inPlace
  }
  const overflow = async (): Promise<void> => {
    const stage = (await withWriteSlot(() => openStage(fd, expected))).readInt32LE(0)
    if (stage >= 0) staged = { fd: stage, sink: createFileSink(stage, hold) }
    const sink = staged?.sink ?? (await beginInPlace())
    await writeAll(sink, takeHeld())
  }
  const moveStaged = async (from: number): Promise<void> => {
    await guard?.check()
    begun = true
    await withWriteSlot(() => emptyFile(fd, 0))
    for (let at = 0; at < written; at += MOVED_BYTES)
      await withWriteSlot(() => moveContent(from, fd, at, Math.min(MOVED_BYTES, written - at)))
  }
  const finish = async (): Promise<void> => {
    if (staged === undefined) {
      const sink = inPlace ?? (await beginInPlace())
      await writeAll(sink, takeHeld())
      return sink.end()
    }
    await staged.sink.end()
    await moveStaged(staged.fd)
  }
  return {
    get begun() {
      return begun
    },
    write(chunk) {
      written += chunk.length
      const sink = staged?.sink ?? inPlace
      if (sink !== undefined) return sink.write(chunk)
      held.push(chunk)
      heldBytes += chunk.length
      allHeld += chunk.length
      if (heldBytes <= HELD_BYTES && allHeld <= ALL_HELD_BYTES) return undefined
      opening = overflow()
      return opening
    },
    async end() {
      await opening
      await (guard?.alone(finish) ?? finish())
    },
    async settled() {
      await opening?.catch(() => {})
      await (staged?.sink ?? inPlace)?.settled()
    },
    async release() {
      takeHeld()
      const stage = staged?.fd
      // Closing the last descriptor frees the disk, which may take its time.
      if (stage !== undefined) await withWriteSlot(() => closeFile(stage))
    },
  }
}

async function writeAll(sink: FileSink, chunks: readonly Buffer[]): Promise<void> {
  for (const chunk of chunks) await sink.write(chunk)
}
