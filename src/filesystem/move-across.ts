import { constants } from 'node:fs'
import { readlink } from 'node:fs/promises'
import { posix } from 'node:path'
import { AppError } from '../errors.ts'
import { cleanPath } from '../lib/clean-path.ts'
import { unpackParent } from '../native/entries.ts'
import {
  closeFile,
  closeWritten,
  openPath,
  readInto,
  statFile,
  statPath,
  truncateFile,
  unlinkPath,
  writePieces,
} from '../native/file-calls.ts'
import { type Actor, openParent, removeOpened } from '../native/files.ts'
import { close } from '../native/index.ts'
import { copyFacts, copyLink, makeDirectory, renamePath } from '../native/move-calls.ts'
import { randomUuid } from '../native/random.ts'
import { listTree, unpackNames } from '../native/tree.ts'
import { isKind } from './entry.ts'
import { fileErrno } from './failure.ts'
import { permitted } from './file-user.ts'
import { needProc } from './need-proc.ts'

/** One read and one write; enough to make their overhead disappear. */
const COPY_BYTES = 1024 * 1024
const ZEROS = Buffer.alloc(COPY_BYTES)
/** Bytes of all names in one directory: some 1.6 million names. */
const MAX_NAMES_BYTES = 64 * 1024 * 1024

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const READ_DIRECTORY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_DIRECTORY
/** O_PATH (open(2)), which Node does not name. */
const ENTRY = 0o10000000 | constants.O_NOFOLLOW
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
/** What is not complete is closed to other users. */
const PRIVATE_FILE = 0o600

/** A move between filesystems. Both paths are absolute. */
interface MoveAcross {
  readonly source: string
  readonly destination: string
  readonly owner: Actor
  readonly signal: AbortSignal
}

/**
 * Moves a tree to another filesystem: copies it beside the destination with owners, modes, times, attributes, links and
 * holes, renames the copy over the destination, and deletes the source. A failure before the renaming leaves the source
 * complete and no copy behind. Sockets, pipes and devices cannot be moved. Rejects with AppError or the system error.
 */
export async function moveAcross(move: MoveAcross): Promise<void> {
  const { source, destination, owner } = move
  needProc()
  const from = await holdParent(cleanPath(source), owner)
  const to = await holdParent(cleanPath(destination), owner).catch((error: unknown) => {
    close(from.fd)
    throw error
  })
  try {
    const [realSource, realParent] = await Promise.all([from.real(), to.parent()])
    if (`${realParent}/`.startsWith(`${realSource}/`)) {
      throw renameError(move, 'invalid argument')
    }
    await moveEntry(from, to, move)
  } finally {
    close(from.fd)
    close(to.fd)
  }
}

const renameError = ({ source, destination }: MoveAcross, reason: string) =>
  new AppError('internal', `error renaming: rename ${source} ${destination}: ${reason}`)

const STALE = 'stale file handle'

/** What is removed is what was copied, whatever has its name by then. */
async function moveEntry(from: Held, to: Held, move: MoveAcross): Promise<void> {
  const entry = await openPath(from.path, ENTRY)
  try {
    const name = Buffer.concat([to.name, Buffer.from(`.e2b-move.${randomUuid()}.tmp`)])
    const copy = { fd: to.fd, name, path: at(to.fd, name) }
    const isDirectory = isKind((await statFile(entry)).mode, constants.S_IFDIR)
    if (isDirectory) await placeDirectory(at(entry, DOT), { copy, target: to.path }, move)
    else await placeOther(from.path, { copy: copy.path, target: to.path }, move)
    await removeOpened(entry, from.fd, from.name, move.owner).catch((error: unknown) => {
      throw fileErrno(error) === 'ESTALE' ? renameError(move, STALE) : error
    })
  } finally {
    await closeFile(entry)
  }
}

async function placeDirectory(
  source: Buffer,
  { copy, target }: { readonly copy: Held; readonly target: Buffer },
  move: MoveAcross,
): Promise<void> {
  const original = await openPath(source, READ_DIRECTORY)
  try {
    const made = await makeAndOpen(copy.path)
    try {
      await copyContents(original, made, move)
      const [there, own] = await Promise.all([statPath(copy.path), statFile(made)])
      if (there.dev !== own.dev || there.ino !== own.ino) throw renameError(move, STALE)
      await renamePath(copy.path, target)
    } catch (error) {
      await removeOpened(made, copy.fd, copy.name, move.owner).catch(() => {})
      throw error
    } finally {
      await closeFile(made)
    }
  } finally {
    await closeFile(original)
  }
}

async function placeOther(
  source: Buffer,
  { copy, target }: { readonly copy: Buffer; readonly target: Buffer },
  options: Copy,
): Promise<void> {
  try {
    await copyEntry(source, copy, options)
    await renamePath(copy, target)
  } catch (error) {
    await unlinkPath(copy).catch(() => {})
    throw error
  }
}

/** A name in an open directory. */
interface Held {
  readonly fd: number
  readonly name: Buffer
  readonly path: Buffer
}

/** The open directory that an entry is in, and paths through it, which links that come meanwhile do not lead astray. */
async function holdParent(path: string, owner: Actor) {
  const { fd, name } = unpackParent(await permitted(path, () => openParent(Buffer.from(path), owner)))
  const parent = () => readlink(`/proc/self/fd/${fd}`)
  return {
    /** The caller closes it. */
    fd,
    name,
    path: at(fd, name),
    parent,
    real: async () => posix.join(await parent(), name.toString()),
  }
}

/** What is the same for every entry. */
type Copy = Pick<MoveAcross, 'owner' | 'signal'>

async function copyEntry(from: Buffer, to: Buffer, options: Copy): Promise<void> {
  options.signal.throwIfAborted()
  const { mode } = await statPath(from)
  if (isKind(mode, constants.S_IFDIR)) return copyDirectory(from, to, options)
  if (isKind(mode, constants.S_IFREG)) return copyFile(from, to, options.signal)
  if (isKind(mode, constants.S_IFLNK)) return void (await copyLink(from, to))
  throw new AppError('internal', 'cannot move a socket, pipe or device to another filesystem')
}

/** Entries are reached through the open directories, so that a link in their place leads nowhere else. */
async function copyDirectory(from: Buffer, to: Buffer, options: Copy): Promise<void> {
  const source = await openPath(from, READ_DIRECTORY)
  try {
    const target = await makeAndOpen(to)
    try {
      await copyContents(source, target, options)
    } finally {
      await closeFile(target)
    }
  } finally {
    await closeFile(source)
  }
}

/** @returns the new directory, open. */
async function makeAndOpen(path: Buffer): Promise<number> {
  return (await makeDirectory(path)).readInt32LE(0)
}

async function copyContents(source: number, target: number, options: Copy): Promise<void> {
  const names = await listTree(source, EMPTY, options.owner, MAX_NAMES_BYTES)
  for (const { name } of unpackNames(names)) await copyEntry(at(source, name), at(target, name), options)
  await copyFacts(source, target)
}

function at(directory: number, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${directory}/`), name])
}

async function copyFile(from: Buffer, to: Buffer, signal: AbortSignal): Promise<void> {
  const source = await openPath(from, READ)
  try {
    const target = await openPath(to, CREATE, PRIVATE_FILE)
    try {
      await copyContent(source, target, signal)
      await copyFacts(source, target)
    } catch (error) {
      await closeFile(target)
      throw error
    }
    // Network filesystems report here that the disk is full.
    await closeWritten(target)
  } finally {
    await closeFile(source)
  }
}

async function copyContent(source: number, target: number, signal: AbortSignal): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(COPY_BYTES)
  let position = 0
  for (;;) {
    signal.throwIfAborted()
    const bytesRead = await readInto(source, buffer, position)
    if (bytesRead === 0) break
    const bytes = buffer.subarray(0, bytesRead)
    // Zeros stay a hole.
    if (!bytes.equals(ZEROS.subarray(0, bytesRead))) await writePieces(target, [bytes], position)
    position += bytesRead
  }
  await truncateFile(target, position)
}

const EMPTY = Buffer.alloc(0)
const DOT = Buffer.from('.')
