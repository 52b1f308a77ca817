import { AppError } from '../errors.ts'
import type { Log } from '../log.ts'
import { type FileVersion, type Finished, unpackFinished } from '../native/entries.ts'
import { finishFile } from '../native/files.ts'
import { failureKind, isOutOfSpace, reasonOf } from './failure.ts'

/** Names and values that a client keeps with a file, as extended attributes (contract B47). */
export type Metadata = ReadonlyMap<string, string>

/** In front of every name, on disk. */
export const METADATA_PREFIX = 'user.e2b.'

/** 255 bytes is the kernel's limit of a name (xattr(7)), less the prefix. */
const MAX_KEY_BYTES = 246
/** ext4 keeps all attributes of a file in one block. */
const MAX_TOTAL_BYTES = 4096

/**
 * Checks metadata against the limits of contract B47. Keys and values are given with one character per byte.
 * Throws AppError invalid_argument.
 */
export function checkMetadata(metadata: Metadata): void {
  let total = 0
  for (const [key, value] of metadata) {
    if (key.length > MAX_KEY_BYTES) throw invalid(`metadata key "${key}" exceeds ${MAX_KEY_BYTES} bytes`)
    checkPrintable(`metadata key "${key}"`, key)
    checkPrintable(`metadata value for key "${key}"`, value)
    total += METADATA_PREFIX.length + key.length + value.length
  }
  if (total > MAX_TOTAL_BYTES) throw invalid(`total metadata size ${total} exceeds ${MAX_TOTAL_BYTES} bytes`)
}

function checkPrintable(what: string, text: string): void {
  const offset = text.search(/[^ -~]/)
  if (offset < 0) return
  const byte = text.charCodeAt(offset).toString(16).padStart(2, '0')
  throw invalid(`${what} contains non-printable-ASCII byte 0x${byte} at offset ${offset}`)
}

function invalid(problem: string): AppError {
  return new AppError('invalid_argument', `invalid metadata: ${problem}`)
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Metadata from what is on disk; entries that are not UTF-8 are left out (contract B50). */
export function metadataFrom(attributes: readonly (readonly [Buffer, Buffer])[]): Metadata {
  const metadata = new Map<string, string>()
  for (const [key, value] of attributes) {
    try {
      metadata.set(utf8.decode(key), utf8.decode(value))
    } catch {}
  }
  return metadata
}

/** How the metadata of a file is set. */
interface FinishOptions {
  /** Replaces what was there; undefined: that stays. */
  readonly metadata: Metadata | undefined
  /** The file is written to the disk and stays open. */
  readonly sync?: boolean
  /** Sets a time of modification of its own, which watchers see as a change of attributes. */
  readonly stamp?: boolean
  readonly log: Log
}

/** A file as it is in the end. */
export interface FinishedFile {
  readonly metadata: Metadata
  readonly version: FileVersion
}

/**
 * Replaces the whole metadata of an open file, closes it, and returns the metadata that it has then; other attributes
 * stay (contract B48 to B50). A filesystem without attributes is only logged. Rejects with AppError no_space or
 * internal; the file is closed then as well.
 */
export async function finishWithMetadata(fd: number, options: FinishOptions): Promise<FinishedFile> {
  const { metadata, sync, stamp } = options
  try {
    const pairs = metadata && [...metadata].flat()
    const packed = await finishFile(fd, METADATA_PREFIX, pairs, sync, stamp)
    return toFinishedFile(unpackFinished(packed), options)
  } catch (error) {
    throw finishError(error)
  }
}

/** What a file has that was finished so. */
export function toFinishedFile(finished: Finished, { metadata, log }: FinishOptions): FinishedFile {
  if (finished.unsupported && metadata?.size)
    log.warn(
      { keys: metadata.size },
      'file metadata is not kept: the filesystem does not support it, or the daemon may not set it',
    )
  return { metadata: metadataFrom(finished.attributes), version: finished.version }
}

/** The AppError for a failure of native `finishFile`. */
export function finishError(error: unknown): AppError {
  const closing = error instanceof Error && 'syscall' in error && error.syscall === 'close'
  if (isOutOfSpace(error)) {
    const what = closing ? 'not enough disk space available' : `not enough space for file metadata: ${reasonOf(error)}`
    return new AppError('no_space', what, { cause: error })
  }
  const what = closing ? 'error writing file' : 'error writing file metadata'
  return new AppError(failureKind(error), `${what}: ${reasonOf(error)}`, { cause: error })
}
