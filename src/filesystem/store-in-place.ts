import { Readable } from 'node:stream'
import { cleanPath } from '../lib/clean-path.ts'
import { pump } from '../lib/pump.ts'
import type { FileVersion } from '../native/entries.ts'
import { closeFile, truncateFile } from '../native/file-calls.ts'
import { removeFile } from '../native/files.ts'
import { createAppendSink } from './append-sink.ts'
import { createFileSink, type FileSink } from './file-sink.ts'
import { inParent } from './in-parent.ts'
import { finishWithMetadata, type Metadata } from './metadata.ts'
import { closeNew, nameNewFile } from './new-file.ts'
import { type OpenedFile, openAnew } from './open-anew.ts'
import { createReplacement } from './replacement.ts'
import { storeAtOnce } from './store-at-once.ts'
import type { UploadTarget } from './upload.ts'
import { openError, writeError } from './upload-failure.ts'
import { checkAtPath, conditionFailed, setMode } from './write-condition.ts'
import { guardWrite } from './write-guard.ts'

/** A file as it was written. */
export interface Written {
  readonly metadata: Metadata
  readonly version?: FileVersion
}

/** Stores content that is there already, under no condition. Rejects as `storeFile`. */
export async function storeSmall(content: Buffer, target: UploadTarget): Promise<Written> {
  const { path, owner, metadata, hold, log } = target
  const small = { content, owner, metadata, hold, log }
  const stored = await inParent(target, (at) => storeAtOnce(at, small)).catch((error: unknown) => {
    throw openError(path, error)
  })
  return stored.finished ?? writeInPlace(stored.file, Readable.from([stored.rest]), { ...target, begun: true })
}

/**
 * Stores what a stream has: in the file that is there, or in a new one, which gets its name when it is whole. Rejects
 * as `storeFile`.
 */
export async function storeInPlace(source: Readable, target: UploadTarget): Promise<Written> {
  const { path, owner, condition } = target
  const expected = condition && (await checkAtPath(condition, path, owner))
  return writeInPlace(await openTarget(target, 'unnamed'), source, { ...target, expected })
}

async function writeInPlace(opened: OpenedFile, source: Readable, target: Filling): Promise<Written> {
  const { mode, condition, chmod, log } = target
  await fill(opened, source, target)
  const file = await named(opened, target)
  if (file.device) return { metadata: new Map() }
  if (chmod !== undefined)
    await setMode(file.fd, chmod, target).catch(async (error: unknown) => {
      await closeFile(file.fd)
      throw error
    })
  const kept = mode === 'append' && target.metadata.size === 0
  // What is written without a word about versions has the events that it always had (contract C28).
  const stamp = mode !== undefined || condition !== undefined
  return finishWithMetadata(file.fd, { metadata: kept ? undefined : target.metadata, stamp, log })
}

/** The file under its name. Closes it if that fails. */
async function named(file: OpenedFile, target: Filling): Promise<OpenedFile> {
  const { path, owner, condition, expected } = target
  const openTaken = () => {
    if (condition !== undefined) throw conditionFailed(path)
    return openTarget(target, 'in place')
  }
  if (file.unnamed !== undefined && expected !== undefined) {
    await closeNew(file)
    throw conditionFailed(path)
  }
  try {
    return await nameNewFile(file, { path, owner, openTaken })
  } catch (error) {
    throw writeError(error, target)
  }
}

async function openTarget(target: UploadTarget, missing: 'unnamed' | 'in place'): Promise<OpenedFile> {
  const { path, owner, content, mode, condition } = target
  const append = mode === 'append'
  const empty = content !== undefined && !append && condition === undefined
  try {
    return await inParent(target, (at) =>
      openAnew(at, owner, { empty, append, unnamed: missing === 'unnamed' && !append }),
    )
  } catch (error) {
    throw openError(path, error)
  }
}

/** Closes the file after a failure, and only then. */
async function fill(file: OpenedFile, source: Readable, target: Filling): Promise<void> {
  const sink = createSink(file, target)
  try {
    await pump(source, sink, { signal: target.signal, idleMs: target.idleMs })
  } catch (error) {
    await sink.settled()
    await discard(file, sink, target)
    await closeNew(file)
    throw writeError(error, target)
  } finally {
    await sink.release?.().catch(() => {})
  }
}

interface Filling extends UploadTarget {
  /** The version that the condition was checked for. */
  readonly expected?: Buffer | undefined
  /** The old content is gone, and the beginning of the new one is written. */
  readonly begun?: boolean
}

/** A sink that may leave the file as it was, unless it has begun. */
interface UploadSink extends FileSink {
  readonly begun?: boolean
  release?(): Promise<void>
}

function createSink(file: OpenedFile, target: Filling): UploadSink {
  const { fd, made, device, unnamed } = file
  const { condition, mode, expected, path, signal, hold, announcedBytes = 0, begun } = target
  if (device || unnamed !== undefined || begun) return createFileSink(fd, hold)
  const guard = condition && guardWrite(file, { path, expected, signal })
  if (mode === 'append') return createAppendSink(fd, { hold, guard })
  return made && guard === undefined
    ? createFileSink(fd, hold)
    : createReplacement({ fd, hold, expected: announcedBytes, guard })
}

/**
 * What has come of a file must not be taken for all of it: one that was made here goes, and one whose old content is
 * gone is left empty. What was appended stays. Failures are ignored: the disk may be the reason why it was cut off.
 */
async function discard(file: OpenedFile, sink: UploadSink, target: UploadTarget): Promise<void> {
  const { fd, made, device, unnamed } = file
  const { path, owner, mode } = target
  if (device || unnamed !== undefined) return
  const remove = (name: string) => removeFile(Buffer.from(name), owner, fd)
  if (made) return remove(path).then(ignore, () => remove(cleanPath(path)).then(ignore, ignore))
  if (sink.begun !== false && mode !== 'append') await truncateFile(fd, 0).catch(ignore)
}

function ignore(): void {}
