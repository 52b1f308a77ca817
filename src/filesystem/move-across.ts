import { constants, type Stats } from 'node:fs'
import {
  type FileHandle,
  lchown,
  lstat,
  lutimes,
  mkdir,
  open,
  readdir,
  readlink,
  realpath,
  rename,
  symlink,
} from 'node:fs/promises'
import { posix } from 'node:path'
import { AppError } from '../errors.ts'
import { cleanPath } from '../lib/clean-path.ts'
import { unpackParent } from '../native/entries.ts'
import { readInto, writePieces } from '../native/file-calls.ts'
import { type Actor, copyAttributes, openParent, removeTree } from '../native/files.ts'
import { close } from '../native/index.ts'
import { randomUuid } from '../native/random.ts'
import { permitted } from './file-user.ts'
import { needProc } from './need-proc.ts'
import { withWriteSlot } from './write-semaphore.ts'

/** One read and one write; enough to make their overhead disappear. */
const COPY_BYTES = 1024 * 1024
const ZEROS = Buffer.alloc(COPY_BYTES)

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const READ_DIRECTORY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_DIRECTORY
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
/** What is not complete is closed to other users. */
const PRIVATE_FILE = 0o600
const PRIVATE_DIRECTORY = 0o700

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
export async function moveAcross({ source, destination, owner, signal }: MoveAcross): Promise<void> {
  needProc()
  const from = await holdParent(cleanPath(source), owner)
  const to = await holdParent(cleanPath(destination), owner).catch((error: unknown) => {
    close(from.fd)
    throw error
  })
  try {
    const [realSource, realParent] = await Promise.all([from.real(), to.parent()])
    if (`${realParent}/`.startsWith(`${realSource}/`)) {
      throw new AppError('internal', `error renaming: rename ${source} ${destination}: invalid argument`)
    }
    await moveEntry(from.path, to.path, signal)
  } finally {
    close(from.fd)
    close(to.fd)
  }
}

async function moveEntry(source: Buffer, target: Buffer, signal: AbortSignal): Promise<void> {
  const copy = Buffer.concat([target, Buffer.from(`.e2b-move.${randomUuid()}.tmp`)])
  try {
    await copyEntry(source, copy, signal)
    await withWriteSlot(() => rename(copy, target))
  } catch (error) {
    await removeTree(copy).catch(() => {})
    throw error
  }
  await removeTree(source)
}

/** The open directory that an entry is in, and paths through it, which links that come meanwhile do not lead astray. */
async function holdParent(path: string, owner: Actor) {
  const { fd, name } = unpackParent(await permitted(path, () => openParent(Buffer.from(path), owner)))
  const parent = () => realpath(`/proc/self/fd/${fd}`)
  return {
    /** The caller closes it. */
    fd,
    path: Buffer.concat([Buffer.from(`/proc/self/fd/${fd}/`), name]),
    parent,
    real: async () => posix.join(await parent(), name.toString()),
  }
}

async function copyEntry(from: Buffer, to: Buffer, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const stats = await lstat(from)
  if (stats.isDirectory()) return copyDirectory(from, to, signal)
  if (stats.isFile()) return copyFile(from, to, signal)
  if (stats.isSymbolicLink()) return withWriteSlot(() => copyLink(from, to, stats))
  throw new AppError('internal', 'cannot move a socket, pipe or device to another filesystem')
}

/** Entries are reached through the open directories, so that a link in their place leads nowhere else. */
async function copyDirectory(from: Buffer, to: Buffer, signal: AbortSignal): Promise<void> {
  await using source = await open(from, READ_DIRECTORY)
  await withWriteSlot(() => mkdir(to, PRIVATE_DIRECTORY))
  await using target = await open(to, READ_DIRECTORY)
  for (const name of await readdir(at(source, Buffer.from('.')), { encoding: 'buffer' })) {
    await copyEntry(at(source, name), at(target, name), signal)
  }
  await withWriteSlot(() => copyFacts(source, target))
}

function at(directory: FileHandle, name: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${directory.fd}/`), name])
}

async function copyFile(from: Buffer, to: Buffer, signal: AbortSignal): Promise<void> {
  await using source = await open(from, READ)
  await using target = await withWriteSlot(() => open(to, CREATE, PRIVATE_FILE))
  const buffer = Buffer.allocUnsafeSlow(COPY_BYTES)
  let position = 0
  for (;;) {
    signal.throwIfAborted()
    const bytesRead = await readInto(source.fd, buffer, position)
    if (bytesRead === 0) break
    const bytes = buffer.subarray(0, bytesRead)
    // Zeros stay a hole.
    if (!bytes.equals(ZEROS.subarray(0, bytesRead))) await writePieces(target.fd, [bytes], position)
    position += bytesRead
  }
  await withWriteSlot(async () => {
    await target.truncate(position)
    await copyFacts(source, target)
  })
}

/** Owner first: changing it clears bits of the mode. Times last. */
async function copyFacts(source: FileHandle, target: FileHandle): Promise<void> {
  const { uid, gid, mode, atimeMs, mtimeMs } = await source.stat()
  await target.chown(uid, gid)
  await copyAttributes(source.fd, target.fd)
  await target.chmod(mode & 0o7777)
  await target.utimes(atimeMs / 1000, mtimeMs / 1000)
}

async function copyLink(from: Buffer, to: Buffer, { uid, gid, atimeMs, mtimeMs }: Stats): Promise<void> {
  await symlink(await readlink(from, { encoding: 'buffer' }), to)
  await lchown(to, uid, gid)
  await lutimes(to, atimeMs / 1000, mtimeMs / 1000)
}
