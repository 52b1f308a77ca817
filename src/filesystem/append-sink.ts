import type { Hold } from '../budget/budget.ts'
import { writePieces } from '../native/file-calls.ts'
import { createFileSink, type FileSink } from './file-sink.ts'
import type { WriteGuard } from './write-guard.ts'

/** Bytes of one upload that wait for its end, to be appended at once. */
const HELD_BYTES = 64 * 1024
/** Of all such uploads together; then they are appended as they come. */
const ALL_HELD_BYTES = 4 * 1024 * 1024

let allHeld = 0

interface AppendSink extends FileSink {
  /** Something may have been written. */
  readonly begun: boolean
  /** Releases what it holds; call it once, when it is settled. */
  release(): Promise<void>
}

interface AppendOptions {
  /** Counts what waits for the disk. The caller releases it. */
  readonly hold: Hold
  /** Checked before anything is written, and held until the first write is done. */
  readonly guard?: WriteGuard | undefined
}

/**
 * Appends to a file that was opened for that (O_APPEND), each batch of chunks by one write(2): up to 64 KiB at once at
 * the end, so that a short upload that is cut off appends nothing, and more as it comes.
 */
export function createAppendSink(fd: number, { hold, guard }: AppendOptions): AppendSink {
  const sink = createFileSink(fd, hold)
  let held: Buffer[] = []
  let heldBytes = 0
  let begun = false
  let beginning: Promise<void> | undefined

  const release = () => {
    allHeld -= heldBytes
    held = []
    heldBytes = 0
  }
  const writeHeld = async (): Promise<void> => {
    await guard?.check()
    begun = true
    const bytes = Buffer.concat(held)
    release()
    await writePieces(fd, [bytes], null)
  }
  const begin = () => guard?.alone(writeHeld) ?? writeHeld()
  return {
    get begun() {
      return begun
    },
    write: (chunk) => {
      if (begun) return sink.write(chunk)
      held.push(chunk)
      heldBytes += chunk.length
      allHeld += chunk.length
      if (heldBytes <= HELD_BYTES && allHeld <= ALL_HELD_BYTES) return undefined
      beginning = begin()
      return beginning
    },
    end: async () => {
      if (!begun) await begin()
      await sink.end()
    },
    settled: async () => {
      await beginning?.catch(() => {})
      await sink.settled()
    },
    release: async () => release(),
  }
}
