import { createHash, timingSafeEqual } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { Hold } from '../budget/budget.ts'
import { AppError, errnoOf } from '../errors.ts'
import { createFileSink } from '../filesystem/file-sink.ts'
import { partialError } from '../filesystem/partial-file.ts'
import { writeError } from '../filesystem/upload-failure.ts'
import { CutShort, pump, type Sink } from '../lib/pump.ts'
import { statFile, syncData, truncateFile } from '../native/file-calls.ts'
import { CHECKPOINT_BYTES } from './limits.ts'

/** A checksum that came with a piece. */
export interface Checksum {
  readonly algorithm: string
  readonly digest: Buffer
}

/** A piece of an upload on its way. */
interface Piece {
  /** The file, opened to append, which has `offset` bytes then. */
  readonly fd: number
  readonly offset: number
  /** Bytes of the whole upload. */
  readonly length: number
  readonly checksum: Checksum | undefined
  readonly signal: AbortSignal
  readonly idleMs: number
  /** Counts what waits for the disk. The caller releases it. */
  readonly hold: Hold
  readonly onChunk: () => void
  /** So many bytes of the upload are on the disk. */
  readonly onDisk: (offset: number) => Promise<void>
}

/**
 * Appends a piece, and reports what has reached the disk, at its end and every `CHECKPOINT_BYTES`, also when it is cut
 * off. What comes with a checksum counts as a whole or not at all. Rejects with AppError checksum_mismatch, too_large,
 * stalled or that of the disk, or with CutShort.
 */
export async function receivePiece(source: Readable, piece: Piece): Promise<void> {
  return takePiece(source, piece).catch((error: unknown) => {
    throw errnoOf(error) === undefined ? error : partialError('error writing the file', error)
  })
}

async function takePiece(source: Readable, piece: Piece): Promise<void> {
  const { fd, offset, checksum, signal, idleMs, onDisk } = piece
  // What came after the last point that counts.
  await truncateFile(fd, offset)
  const { sink, digest, settled } = pieceSink(piece)
  try {
    await pump(source, sink, { signal, idleMs })
    if (checksum !== undefined && !isEqual(digest(), checksum.digest))
      throw new AppError('checksum_mismatch', 'the checksum does not match what came')
  } catch (error) {
    await settled()
    if (checksum === undefined) await reach(fd, onDisk)
    else await truncateFile(fd, offset)
    throw pieceError(error)
  }
  await reach(fd, onDisk).catch((error: unknown) => {
    throw pieceError(error)
  })
}

/** A client that has left gets no answer. */
function pieceError(error: unknown): unknown {
  return error instanceof CutShort ? error : writeError(error, { announcedBytes: undefined })
}

async function reach(fd: number, onDisk: Piece['onDisk']): Promise<void> {
  await syncData(fd)
  const { size } = await statFile(fd)
  await onDisk(Number(size))
}

function pieceSink({ fd, offset, length, checksum, hold, onChunk, onDisk }: Piece) {
  const file = createFileSink(fd, hold)
  const hash = checksum && createHash(checksum.algorithm)
  let taken = offset
  let reached = offset
  const checkpoint = async (written: Promise<void> | undefined) => {
    await written
    await file.end()
    reached = taken
    await reach(fd, onDisk)
  }
  const sink: Sink = {
    write: (chunk) => {
      onChunk()
      if (taken + chunk.length > length)
        return Promise.reject(new AppError('too_large', `the upload has ${length} bytes in all`))
      hash?.update(chunk)
      taken += chunk.length
      const written = file.write(chunk)
      return checksum === undefined && taken - reached >= CHECKPOINT_BYTES ? checkpoint(written) : written
    },
    end: () => file.end(),
  }
  return { sink, digest: () => hash?.digest(), settled: () => file.settled() }
}

function isEqual(actual: Buffer | undefined, expected: Buffer): boolean {
  return actual !== undefined && actual.length === expected.length && timingSafeEqual(actual, expected)
}
