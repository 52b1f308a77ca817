import type { Hold } from '../budget/budget.ts'
import { closeFile, truncateFile } from '../native/file-calls.ts'
import { openStage } from '../native/files.ts'
import { createFileSink, type FileSink } from './file-sink.ts'
import { moveAll } from './new-file.ts'
import type { WriteGuard } from './write-guard.ts'

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

/** Bytes of one upload that wait in memory for its end: small ones need no second file. */
const HELD_BYTES = 64 * 1024
/** Bytes of all uploads together; beyond it they go to the disk at once. */
const ALL_HELD_BYTES = 8 * 1024 * 1024

let allHeld = 0

/**
 * Replaces the content of an open file by what is written, once that has ended: until then the old content stays,
 * whatever happens to the client or the daemon. What comes waits in memory, then in a file without a name beside the
 * target, from where it is copied; the target keeps its inode with all that belongs to it. Where there can be no such
 * file, the target is written in place from then on.
 */
export function createReplacement(options: ReplacementOptions): Replacement {
  return new StagedReplacement(options)
}

class StagedReplacement implements Replacement {
  readonly #options: ReplacementOptions
  #held: Buffer[] = []
  #heldBytes = 0
  #staged: { readonly fd: number; readonly sink: FileSink } | undefined
  #inPlace: FileSink | undefined
  #opening: Promise<void> | undefined
  #written = 0
  #begun = false

  constructor(options: ReplacementOptions) {
    this.#options = options
  }

  get begun(): boolean {
    return this.#begun
  }

  write(chunk: Buffer): Promise<void> | undefined {
    this.#written += chunk.length
    const sink = this.#staged?.sink ?? this.#inPlace
    if (sink !== undefined) return sink.write(chunk)
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    allHeld += chunk.length
    if (this.#heldBytes <= HELD_BYTES && allHeld <= ALL_HELD_BYTES) return undefined
    this.#opening = this.#overflow()
    return this.#opening
  }

  async end(): Promise<void> {
    const { guard } = this.#options
    await this.#opening
    await (guard?.alone(() => this.#finish()) ?? this.#finish())
  }

  async settled(): Promise<void> {
    await this.#opening?.catch(() => {})
    await (this.#staged?.sink ?? this.#inPlace)?.settled()
  }

  async release(): Promise<void> {
    this.#takeHeld()
    const stage = this.#staged?.fd
    // Closing the last descriptor frees the disk, which may take its time.
    if (stage !== undefined) await closeFile(stage)
  }

  async #finish(): Promise<void> {
    if (this.#staged === undefined) {
      const sink = this.#inPlace ?? (await this.#beginInPlace())
      await writeAll(sink, this.#takeHeld())
      return sink.end()
    }
    await this.#staged.sink.end()
    await this.#moveStaged(this.#staged.fd)
  }

  #takeHeld(): Buffer[] {
    const chunks = this.#held
    allHeld -= this.#heldBytes
    this.#held = []
    this.#heldBytes = 0
    return chunks
  }

  async #overflow(): Promise<void> {
    const { fd, expected, hold } = this.#options
    const stage = (await openStage(fd, expected)).readInt32LE(0)
    if (stage >= 0) this.#staged = { fd: stage, sink: createFileSink(stage, hold) }
    const sink = this.#staged?.sink ?? (await this.#beginInPlace())
    await writeAll(sink, this.#takeHeld())
  }

  async #beginInPlace(): Promise<FileSink> {
    const { fd, hold, guard } = this.#options
    await guard?.check()
    this.#begun = true
    await truncateFile(fd, 0)
    this.#inPlace = createFileSink(fd, hold)
    return this.#inPlace
  }

  async #moveStaged(from: number): Promise<void> {
    const { fd, guard } = this.#options
    await guard?.check()
    this.#begun = true
    await truncateFile(fd, 0)
    await moveAll(from, fd, this.#written)
  }
}

async function writeAll(sink: FileSink, chunks: readonly Buffer[]): Promise<void> {
  for (const chunk of chunks) await sink.write(chunk)
}
