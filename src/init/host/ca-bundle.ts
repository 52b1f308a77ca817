import { constants, type FileHandle, mkdir, open } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError, errnoOf } from '../../errors.ts'
import { errnoText } from '../../lib/errno-text.ts'
import { searchBytes } from '../../lib/find-bytes.ts'
import { createLock } from '../../lib/lock.ts'
import { createTimeSlice } from '../../lib/time-slice.ts'
import type { Log } from '../../log.ts'
import { readContent, rewriteFile } from './rewrite-file.ts'

/** The certificates that the platform wants the sandbox to trust. */
export interface CaBundle {
  /**
   * Rejects as `install` would if the certificates cannot be written (contract F17), so that nothing else is changed
   * either.
   */
  check(): Promise<void>
  /**
   * Resolves when programs trust the bundle (PEM, any text is taken; contract F17). What it replaces is removed
   * afterwards, in the background. Rejects with AppError `invalid_argument` (`failed to install CA bundle: …`), or
   * `unavailable` if the signal aborts while an earlier installation is at work (contract F18).
   */
  install(pem: string, signal: AbortSignal): Promise<void>
  /** Resolves when nothing is at work in the background. */
  settled(): Promise<void>
}

/** Where it writes. */
interface CaBundleOptions {
  /** All certificates that programs trust, in one file. */
  readonly certificates: string
  /** The bundle that was installed last. It outlives the daemon. */
  readonly installed: string
  readonly log: Log
}

/**
 * Occurrences of the replaced bundle that are looked at: there is one, or a few where a daemon without memory added
 * more.
 */
const MAX_OCCURRENCES = 16

const NEWLINE = 10

/** The files are read with the first call. */
export function createCaBundle(options: CaBundleOptions): CaBundle {
  const { certificates, installed, log } = options
  const lock = createLock()
  let last: Buffer | undefined
  let background: Promise<void> = Promise.resolve()
  /** Appends what is missing, and returns what is left to do afterwards. */
  const add = async (bundle: Buffer): Promise<() => Promise<void>> => {
    last ??= await readContent(installed).then(contentOf, () => Buffer.alloc(0))
    const previous = last
    const { bytes } = await readContent(certificates)
    const replaced = previous.equals(bundle) ? Buffer.alloc(0) : previous
    const [at = -1] = await lastPlaces(bytes, replaced, 1)
    const appended = !(await contains(without(bytes, at, replaced), bundle))
    if (!appended && previous.equals(bundle)) return async () => {}
    if (appended) await append(certificates, bundle)
    return async () => {
      const edit = (content: Buffer) => withoutPrevious(content, replaced, bundle)
      if (replaced.length > 0) await rewriteFile(certificates, { edit })
      last = bundle
      // At last: until then the file names what is still to be removed, also after a crash.
      await persist(installed, bundle)
      log.debug({ bytes: bundle.length, appended }, 'CA bundle installed')
    }
  }
  return {
    check: () => openForAppend(certificates).then((file) => file.close(), rejectInstall),
    settled: () => background,
    install: async (pem, signal) => {
      const bundle = toBundle(pem)
      const release = await lock.acquire(signal).catch(() => {
        throw new AppError('unavailable', 'CA install already in progress: context canceled')
      })
      const rest = await add(bundle).catch((error: unknown) => {
        release()
        return rejectInstall(error)
      })
      background = rest()
        .catch((error: unknown) => log.error({ errno: errnoOf(error) }, 'the CA bundle could not be kept'))
        .finally(release)
    },
  }
}

function contentOf({ bytes }: { readonly bytes: Buffer }): Buffer {
  return bytes
}

/** With one newline at its end. */
function toBundle(pem: string): Buffer {
  let end = pem.length
  while (end > 0 && pem[end - 1] === '\n') end--
  return Buffer.from(`${pem.slice(0, end)}\n`)
}

/** Where the bundle begins, as whole lines: the last `count` places, the last one first. */
async function lastPlaces(content: Buffer, bundle: Buffer, count: number): Promise<number[]> {
  const places: number[] = []
  const onPlace = (at: number) => {
    if (isLineStart(content, at) && places.unshift(at) > count) places.pop()
    return true
  }
  if (bundle.length > 0) await searchBytes(content, bundle, { overlapping: true, slice: createTimeSlice(), onPlace })
  return places
}

/** Whether a bundle, which is not empty, is there as whole lines. */
async function contains(content: Buffer, bundle: Buffer): Promise<boolean> {
  let found = false
  const onPlace = (at: number) => {
    found = isLineStart(content, at)
    return !found
  }
  await searchBytes(content, bundle, { overlapping: true, slice: createTimeSlice(), onPlace })
  return found
}

function isLineStart(content: Buffer, at: number): boolean {
  return at === 0 || content[at - 1] === NEWLINE
}

function without(content: Buffer, at: number, bundle: Buffer): Buffer {
  if (at === -1) return content
  return Buffer.concat([content.subarray(0, at), content.subarray(at + bundle.length)])
}

/**
 * One bundle may be a part of the other: what is taken away must leave the new one. Undefined: there is nothing to
 * take.
 */
async function withoutPrevious(content: Buffer, previous: Buffer, bundle: Buffer): Promise<Buffer | undefined> {
  for (const at of await lastPlaces(content, previous, MAX_OCCURRENCES)) {
    const left = without(content, at, previous)
    if (await contains(left, bundle)) return left
  }
  return undefined
}

/** It must exist (contract F17): without it this machine keeps its certificates elsewhere, if it has any. */
async function openForAppend(path: string): Promise<FileHandle> {
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_NONBLOCK
  const file = await open(path, flags).catch((error: unknown) => {
    throw new AppError('invalid_argument', `open CA bundle: open ${path}: ${reasonOf(error)}`)
  })
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw new AppError('invalid_argument', `open CA bundle: open ${path}: not a regular file`)
}

/** All of it or nothing, as far as a failure to write is concerned. */
async function append(path: string, bundle: Buffer): Promise<void> {
  const file = await openForAppend(path)
  try {
    const { size } = await file.stat()
    const end = await file.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1))
    const cutOff = end.bytesRead === 1 && end.buffer[0] !== NEWLINE
    await file
      .appendFile(cutOff ? Buffer.concat([Buffer.of(NEWLINE), bundle]) : bundle)
      .catch(async (error: unknown) => {
        await file.truncate(size)
        throw error
      })
  } finally {
    await file.close()
  }
}

async function persist(path: string, bundle: Buffer): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  await rewriteFile(path, { edit: (content) => (content.equals(bundle) ? undefined : bundle), mode: 0o644 })
}

function rejectInstall(error: unknown): never {
  const reason = error instanceof AppError ? error.message : `write CA bundle: ${reasonOf(error)}`
  throw new AppError('invalid_argument', `failed to install CA bundle: ${reason}`)
}

function reasonOf(error: unknown): string {
  const errno = errnoOf(error)
  return errno === undefined ? 'unknown error' : errnoText(errno)
}
