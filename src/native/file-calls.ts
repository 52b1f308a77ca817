import { loadAddon } from './load.ts'

/** The functions of the addon that make one system call each. All reject with `code` and `syscall`. */
interface FileCallsAddon {
  readInto(fd: number, buffer: Uint8Array, position: number): Promise<Buffer>
  writePieces(fd: number, pieces: readonly Uint8Array[], position: number): Promise<Buffer>
  truncateFile(fd: number, size: number): Promise<unknown>
  syncData(fd: number): Promise<unknown>
  closeFile(fd: number): Promise<unknown>
  statFile(fd: number): Promise<Buffer>
  statPath(path: Uint8Array): Promise<Buffer>
  freeBytes(fd: number): Promise<Buffer>
  setFileMode(fd: number, mode: number): Promise<unknown>
  setFileOwner(fd: number, uid: number, gid: number): Promise<unknown>
  unlinkPath(path: Uint8Array): Promise<unknown>
  mountAnswers(path: Uint8Array): Promise<Buffer>
  openPath(path: Uint8Array, flags: number, mode: number): Promise<Buffer>
}

// What they work on may wait for a disk or a network: those that hang hold up no other work (`src/native/job.cc`), as
// the same functions of Node would. A descriptor must not be closed while a call of it is under way.
const addon = loadAddon<FileCallsAddon>()

/** The current position, in the place of one. */
const CURRENT = -1

/**
 * read(2) into a buffer, which must stay until then, at a position or, for null, from the current one on. Resolves with
 * the number of bytes; 0: the end.
 */
export async function readInto(fd: number, buffer: Uint8Array, position: number | null): Promise<number> {
  return Number((await addon.readInto(fd, buffer, position ?? CURRENT)).readBigInt64LE(0))
}

/**
 * Writes all pieces, at most 1,024, one after the other, at a position or, for null, from the current one on. They must
 * stay until then.
 */
export async function writePieces(fd: number, pieces: readonly Uint8Array[], position: number | null): Promise<void> {
  await addon.writePieces(fd, pieces, position ?? CURRENT)
}

/** ftruncate(2). */
export const truncateFile = addon.truncateFile
/** fdatasync(2). */
export const syncData = addon.syncData
/** close(2) of what was written, which may write out what waits. The descriptor is closed also if this rejects. */
export const closeWritten = addon.closeFile
/** fchmod(2). */
export const changeMode = addon.setFileMode
/** fchown(2). */
export const changeOwner = addon.setFileOwner
/** unlink(2). */
export const unlinkPath = addon.unlinkPath

/** close(2) of what was only read, or is given up: a failure loses nothing. Never rejects. */
export async function closeFile(fd: number): Promise<void> {
  await addon.closeFile(fd).catch(() => {})
}

/** open(2); the descriptor is not inherited, and the caller closes it. */
export async function openPath(path: Uint8Array, flags: number, mode = 0): Promise<number> {
  return Number((await addon.openPath(path, flags, mode)).readBigInt64LE(0))
}

/**
 * Whether the filesystem of a mount point answers, waiting 5 s at most, and less where several do not; true for what is
 * none. Rejects with `code` if nothing is there.
 */
export async function mountAnswers(path: Uint8Array): Promise<boolean> {
  return (await addon.mountAnswers(path)).readBigInt64LE(0) === 1n
}

/** Bytes that are free for all users on the filesystem of an open file (fstatvfs(3)). */
export async function freeBytes(fd: number): Promise<number> {
  return Number((await addon.freeBytes(fd)).readBigUInt64LE(0))
}

/** What stat(2) says of a file. */
export interface FileStatus {
  /** st_mode. */
  readonly mode: number
  readonly uid: number
  readonly dev: bigint
  readonly ino: bigint
  readonly rdev: bigint
  readonly size: bigint
  /** Units of 512 bytes that it takes. */
  readonly blocks: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

const NS = 1_000_000_000n

/** fstat(2). */
export async function statFile(fd: number): Promise<FileStatus> {
  return unpack(await addon.statFile(fd))
}

/** lstat(2). */
export async function statPath(path: Uint8Array): Promise<FileStatus> {
  return unpack(await addon.statPath(path))
}

function unpack(packed: Buffer): FileStatus {
  const time = (at: number) => packed.readBigInt64LE(at) * NS + BigInt(packed.readUInt32LE(at + 8))
  return {
    mode: packed.readUInt32LE(0),
    uid: packed.readUInt32LE(4),
    dev: packed.readBigUInt64LE(8),
    ino: packed.readBigUInt64LE(16),
    rdev: packed.readBigUInt64LE(24),
    size: packed.readBigInt64LE(32),
    blocks: packed.readBigInt64LE(40),
    mtimeNs: time(48),
    ctimeNs: time(60),
  }
}
