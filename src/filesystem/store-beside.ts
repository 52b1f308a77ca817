import { constants } from 'node:fs'
import type { Readable } from 'node:stream'
import { AppError } from '../errors.ts'
import { pump } from '../lib/pump.ts'
import { type Beside, type FileVersion, unpackBeside, unpackVersion } from '../native/entries.ts'
import { changeMode, changeOwner, closeFile, statFile, statPath, unlinkPath } from '../native/file-calls.ts'
import { copyAttributes, openBeside, placeFile } from '../native/files.ts'
import { isKind } from './entry.ts'
import { fileErrno, hindersEveryWrite, reasonOf } from './failure.ts'
import { createFileSink } from './file-sink.ts'
import { type FileUser, permitted } from './file-user.ts'
import { finishWithMetadata, type Metadata } from './metadata.ts'
import { needProc } from './need-proc.ts'
import { isDirectory } from './open-anew.ts'
import { ownerRefusal } from './ownership.ts'
import type { UploadTarget } from './upload.ts'
import { checkCondition, conditionFailed, PERMISSIONS, type WriteCondition } from './write-condition.ts'
import { oneWriter } from './write-guard.ts'

/** A file that was opened to be put in its place later. */
interface OpenBeside extends Beside {
  readonly fd: number
  /** Permissions of a file that is new there; undefined: it has them. */
  readonly bits?: number
}

/** What is written beside its place: an upload, but that metadata may stay (undefined). */
export interface StageTarget extends Omit<UploadTarget, 'metadata' | 'whole'> {
  readonly metadata: Metadata | undefined
}

/** An open file with a name in the directory of its place. */
export interface WholeFile {
  readonly fd: number
  readonly name: Buffer
}

/** A file that is whole and on the disk, and not in its place yet. */
export interface StagedFile {
  /** Identifies its place, whatever the path. */
  readonly key: string
  /** Puts it in its place in one step. Call once. Rejects with AppError or the system error. */
  place(): Promise<{ readonly metadata: Metadata; readonly version: FileVersion }>
  /** Closes it; call once, in any case. What was not placed is gone then. */
  release(): Promise<void>
}

/**
 * Writes a stream into a file beside the target, to be put in the target's place in one step: an existing file keeps
 * owner, permissions and attributes, and other names of it keep the old content. Whatever fails before that leaves
 * everything as it was. The parent must be there. Rejects with AppError or the system error: already_exists and
 * condition_failed for what is not as expected, aborted where a file cannot be replaced so. The caller releases what it
 * returns.
 */
export async function stageBeside(source: Readable, target: StageTarget): Promise<StagedFile> {
  const { path, owner, mode, signal, idleMs, hold } = target
  return stage(await openPlace(path, owner, mode === 'create'), target, async ({ fd }) => {
    const sink = createFileSink(fd, hold)
    await pump(source, sink, { signal, idleMs }).catch(async (error: unknown) => {
      await sink.settled()
      throw error
    })
  })
}

/**
 * `stageBeside` for a file that is whole already, and has a name in the target's directory. The file is closed by
 * `release`, and when this rejects.
 */
export async function stageNamed(whole: WholeFile, target: StageTarget): Promise<StagedFile> {
  const named = await placeOf(whole, target).catch(async (error: unknown) => {
    await closeAll([whole.fd])
    throw error
  })
  return stage(named, target, checkName)
}

async function placeOf({ fd, name }: WholeFile, { path, owner, mode }: StageTarget): Promise<OpenBeside> {
  const place = await openPlace(path, owner, mode === 'create')
  const fresh = (await statFile(place.fd)).mode & PERMISSIONS
  await removeTemporary(place)
  await closeAll([place.fd])
  return { ...place, fd, temporary: name, ...(place.existing === undefined && { bits: fresh }) }
}

/** The directory of the path may have become another one. */
async function checkName({ fd, parent, temporary, key }: OpenBeside): Promise<void> {
  const [open, there] = await Promise.all([
    statFile(fd),
    statPath(inDirectory(parent, temporary)).catch(() => undefined),
  ])
  if (there?.ino !== open.ino || there.dev !== open.dev)
    throw new AppError('aborted', `the directory was replaced meanwhile: ${key}`)
}

async function stage(
  file: OpenBeside,
  target: StageTarget,
  fill: (file: OpenBeside) => Promise<void>,
): Promise<StagedFile> {
  const { path, owner, mode, condition, signal, metadata, log } = target
  const state = { placed: false }
  try {
    if (condition !== undefined) checkCondition(condition, path, file.existing && unpackVersion(file.existing.version))
    await fill(file)
    await takeOver(file, target)
    const finished = await finishWithMetadata(file.fd, { metadata, sync: true, stamp: true, log })
    const expected = expectedOf(file, mode, condition)
    const placeOnce = async () => {
      const version = await oneWriter(file.key, signal, () => place(file, { path, owner, expected }))
      state.placed = true
      return { metadata: finished.metadata, version }
    }
    return {
      key: file.key,
      place: () => placeOnce().catch((error: unknown) => Promise.reject(placeError(error, target))),
      release: () => release(file, state.placed),
    }
  } catch (error) {
    await release(file, false)
    throw placeError(error, target)
  }
}

/**
 * Checks what `stageBeside` checks before it takes a byte, and runs `use` with a path of the directory, which has no
 * links. Rejects as `stageBeside`, and with what `use` rejects with.
 */
export async function withPlace<T>(target: StageTarget, use: (directory: string) => Promise<T>): Promise<T> {
  const { path, owner, mode, condition } = target
  needProc()
  const place = await openPlace(path, owner, mode === 'create')
  try {
    if (condition !== undefined)
      checkCondition(condition, path, place.existing && unpackVersion(place.existing.version))
    return await use(`/proc/self/fd/${place.parent}`)
  } finally {
    await release(place, false)
  }
}

async function openPlace(path: string, owner: FileUser, absent: boolean): Promise<OpenBeside> {
  const packed = await permitted(path, () => openBeside(Buffer.from(path), owner, absent)).catch((error: unknown) =>
    Promise.reject(isCreation(error) ? notInOneStep(path, error) : error),
  )
  const file = unpackBeside(packed)
  const { fd, existing } = file
  if (fd !== undefined) return { ...file, fd }
  if (absent) throw exists(path)
  if (existing !== undefined && isKind(existing.mode, constants.S_IFDIR)) throw isDirectory(path)
  throw new AppError('invalid_argument', `path is not a regular file: ${path}`)
}

/** Attributes first: changing the owner takes away capabilities, and then bits of the mode. */
async function takeOver(
  { fd, old, existing, bits: fresh }: OpenBeside,
  { owner, chmod, path }: StageTarget,
): Promise<void> {
  const own = owner.uid === 0 || existing === undefined || existing.uid === owner.uid
  if (chmod !== undefined && !own)
    throw new AppError('permission_denied', `the mode of '${path}' can be set by its owner only`)
  const { uid, gid } = existing ?? owner
  if (old !== undefined) await copyAttributes(old, fd)
  await changeOwner(fd, uid, gid).catch((error: unknown) => {
    if (uid !== process.geteuid?.() || gid !== process.getegid?.()) throw ownerRefusal(owner, error) ?? error
  })
  const bits = chmod ?? (existing === undefined ? fresh : existing.mode & PERMISSIONS)
  if (bits !== undefined) await changeMode(fd, bits)
}

/** No bytes: nothing must be there. */
function expectedOf(
  { existing }: OpenBeside,
  mode: string | undefined,
  condition?: WriteCondition,
): Buffer | undefined {
  if (mode === 'create') return Buffer.alloc(0)
  return condition && (existing?.version ?? Buffer.alloc(0))
}

async function place(
  file: OpenBeside,
  { path, owner, expected }: { readonly path: string; readonly owner: FileUser; readonly expected: Buffer | undefined },
): Promise<FileVersion> {
  const { fd, parent, name, temporary } = file
  const call = () => placeFile(fd, parent, name, temporary, owner, expected)
  return unpackVersion(await permitted(path, call))
}

function placeError(error: unknown, { path, mode }: StageTarget): unknown {
  if (!(error instanceof Error && 'syscall' in error && error.syscall === 'place')) return error
  switch (fileErrno(error)) {
    case 'EEXIST':
      return mode === 'create' ? exists(path) : conditionFailed(path)
    case 'ESTALE':
      return conditionFailed(path)
    case 'EISDIR':
      return isDirectory(path)
    default:
      return hindersEveryWrite(error) ? error : notInOneStep(path, error)
  }
}

function isCreation(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && error.syscall === 'create' && !hindersEveryWrite(error)
}

function notInOneStep(path: string, cause: unknown): AppError {
  const why = `it cannot be written in one step: ${reasonOf(cause)}`
  return new AppError('aborted', `path '${path}': ${why}; mode=overwrite writes it in place`, { cause })
}

function exists(path: string): AppError {
  return new AppError('already_exists', `path '${path}' exists already`)
}

/** A failure leaves no name behind: `placeFile` has removed it, or was not called. */
async function release(file: OpenBeside, placed: boolean): Promise<void> {
  if (!placed) await removeTemporary(file)
  await closeAll([file.fd, file.old, file.parent])
}

async function removeTemporary({ parent, temporary }: OpenBeside): Promise<void> {
  if (temporary.length > 0) await unlinkPath(inDirectory(parent, temporary)).catch(() => {})
}

async function closeAll(descriptors: readonly (number | undefined)[]): Promise<void> {
  for (const open of descriptors) if (open !== undefined) await closeFile(open)
}

function inDirectory(parent: number, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${parent}/`), name])
}
