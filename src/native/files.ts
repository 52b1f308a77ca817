import { loadAddon } from './load.ts'

/**
 * Whom a file call is for. It decides what links may lead to: a link that does not belong to root is followed only to
 * what belongs to the link's owner (or into nothing, in a directory of theirs), and in a directory that all users may
 * write only if it is the actor's or the directory owner's. No path leads to the daemon's own entries in proc(5), nor
 * through links that stand for what a process has open. Refusals have the `syscall` `follow` and the code EACCES. For
 * root, and where the daemon runs as the actor, only the latter holds.
 */
export interface Actor {
  /** What is made belongs to them. */
  readonly uid: number
  readonly gid: number
  /**
   * Set: the call has the actor's own rights, with these groups and no capabilities. What they do not allow has the
   * `syscall` `rights`.
   */
  readonly groups?: readonly number[]
  /** A directory that must not be left, by links or `..`. Refusals have the `syscall` `beneath`. */
  readonly beneath?: Uint8Array
}

/** The functions of the addon that work on files. */
interface FilesAddon {
  readonly entryLayout: number
  readEntry(path: Uint8Array, prefix: string, actor?: Actor): Promise<Buffer>
  readCachedEntry(path: Uint8Array, prefix: string, actor?: Actor): Buffer | undefined
  hasVersion(path: Uint8Array, version: Uint8Array): boolean
  readVersion(path: Uint8Array): Promise<Buffer>
  readNames(path: Uint8Array, limit: number, actor?: Actor): Promise<Buffer>
  readEntries(path: Uint8Array, prefix: string, names: Uint8Array, limit: number, actor?: Actor): Promise<Buffer>
  readStatus(path: Uint8Array, actor: Actor): Promise<Buffer>
  openToRead(path: Uint8Array, actor: Actor): Promise<Buffer>
  readFile(path: Uint8Array, actor: Actor, limit: number): Promise<Buffer>
  storeFile(
    path: Uint8Array,
    actor: Actor,
    content: Uint8Array,
    prefix: string,
    pairs: readonly string[],
  ): Promise<Buffer>
  openToWrite(path: Uint8Array, actor: Actor, empty: boolean, append?: boolean, unnamed?: boolean): Promise<Buffer>
  nameFile(fd: number, parent: number, name: Uint8Array, actor: Actor): Promise<Buffer>
  openBeside(path: Uint8Array, actor: Actor, absent: boolean): Promise<Buffer>
  placeFile(
    file: number,
    parent: number,
    name: Uint8Array,
    temporary: Uint8Array,
    actor: Actor,
    expected: Uint8Array | undefined,
  ): Promise<Buffer>
  openStage(target: number, bytes: number): Promise<Buffer>
  moveContent(from: number, to: number, offset: number, length: number): Promise<Buffer>
  makeDirectories(path: Uint8Array, actor: Actor): Promise<Buffer>
  finishFile(
    fd: number,
    prefix: string,
    pairs: readonly string[] | undefined,
    sync?: boolean,
    stamp?: boolean,
  ): Promise<Buffer>
  copyAttributes(from: number, to: number): Promise<Buffer>
  removeTree(path: Uint8Array, actor?: Actor): Promise<Buffer>
  removeOpened(opened: number, directory: number, name: Uint8Array, actor: Actor): Promise<Buffer>
  removeFile(path: Uint8Array, actor: Actor, fd?: number): Promise<Buffer>
  renameEntry(
    source: Uint8Array,
    destination: Uint8Array,
    actor: Actor,
    expected?: Uint8Array | undefined,
  ): Promise<Buffer>
  openParent(path: Uint8Array, actor: Actor): Promise<Buffer>
  hideProcess(pid: number): void
}

const addon = loadAddon<FilesAddon>()

/** The layout in which the addon packs entries: must be `ENTRY_LAYOUT`. */
export const entryLayout = addon.entryLayout

/**
 * lstat(2) of a path with the target of a link and the extended attributes whose names begin with `prefix`, packed for
 * `unpackEntries` (native/entries.ts). On the thread pool. Rejects with `code`; throws EINVAL for a NUL byte. Without
 * an actor the path is one of the daemon's own.
 */
export const readEntry = addon.readEntry
/**
 * `readEntry` at once, from what the kernel has in its caches: some 10 µs on the event loop, never a wait for a disk or
 * a network. Undefined: it takes `readEntry` to know. Throws ENOENT.
 */
export const readCachedEntry = addon.readCachedEntry
/**
 * Bytes that change whenever the file at a path does (links followed), or another takes its place. On the thread pool.
 * Rejects with `code`.
 */
export const readVersion = addon.readVersion
/**
 * Whether the kernel has in its caches that the version is still this one; false: it is not, or it takes `readVersion`
 * to know.
 */
export const hasVersion = addon.hasVersion
/**
 * The names in a directory, in byte order, packed for `readEntries`: each with its length before it. Takes three times
 * `limit` in memory while it runs. On the thread pool. Rejects with `code`: EOVERFLOW for more than `limit` packed
 * bytes.
 */
export const readNames = addon.readNames
/**
 * `readEntry` for the first of these names in a directory, until they take `limit` bytes: how many bytes of `names`
 * were used, as 32 bits, then the entries. Names that are not there any more are left out, a cut one at the end waits.
 * Rejects with `code`.
 */
export const readEntries = addon.readEntries
/**
 * stat(2), the type of the filesystem, and the real path, packed for `unpackStatus`. On the thread pool. Rejects with
 * `code` and `syscall`.
 */
export const readStatus = addon.readStatus
/**
 * Opens a regular file, or a device that never waits, for reading, packed as four bytes; -1: it is something else, and
 * was not opened. The caller closes it. On the thread pool. Rejects with `code` and `syscall`.
 */
export const openToRead = addon.openToRead
/**
 * Reads a regular file of at most `limit` bytes whole: its version, for `unpackVersion`, then its bytes. Resolves with
 * nothing for one that takes `openToRead` to read: a larger or an empty one, a kernel's file, what is no file, what
 * changes meanwhile. On the thread pool. Rejects with `code` and `syscall` as `openToRead`.
 */
export const readFile = addon.readFile
/**
 * `openToWrite`, with `empty`, then as many of the bytes as can be written, and, if these are all, `finishFile`: packed
 * for `unpackStored`. What was not finished is open. The content is copied. Rejects with `code` and `syscall` as either
 * of them; the file is closed then. On the thread pool.
 */
export const storeFile = addon.storeFile
/**
 * Opens a regular file to be written anew, in place: makes it (0666 less the umask) where it is missing, makes the
 * actor its owner unless it was another user's before, and then, if `empty` says so, empties it. Another user's file
 * loses the bits that let it run as its owner. The devices null, zero and full are opened, too; what is anything else
 * is not. The result is packed for `unpackOpened`: with an owner error the file is open, but not emptied. With
 * `append` every write goes to its end. With `unnamed` a file that is missing has no name yet, where its filesystem has
 * such files (O_TMPFILE). Rejects with `code` and `syscall`. On the thread pool.
 */
export const openToWrite = addon.openToWrite
/**
 * Gives an open file without a name that name in an open directory, and opens it by it, packed as 4 bytes: what is
 * changed by that descriptor is reported to watchers. The caller closes all of them. Rejects with `code` and `syscall`:
 * EEXIST where something is. On the thread pool.
 */
export const nameFile = addon.nameFile
/**
 * Opens a new file in the directory of a path, for the daemon, to be put in the path's place by `placeFile`; packed
 * for `unpackBeside`. It has no name until then, or a temporary one where the filesystem cannot do that. With `absent`
 * nothing may be there, also no link. The caller closes its descriptors, and removes the temporary name if the file is
 * not placed. Rejects with `code` and `syscall`. On the thread pool.
 */
export const openBeside = addon.openBeside
/**
 * Puts the file of `openBeside` in its place in one step, whatever stands there or, if `expected` says so, only in the
 * place of nothing (no bytes) or of that version. A temporary name is gone in any case. Resolves with its version, for
 * `unpackVersion`. Rejects with `code` and `syscall`: EEXIST and ESTALE for what was not expected. Between the look at
 * what stands there and the renaming are some microseconds. On the thread pool.
 */
export const placeFile = addon.placeFile
/**
 * Opens a file without a name, for the daemon alone, in the directory of an open file, to hold so many bytes and then
 * be the source of `moveContent`; packed as 4 bytes, the caller closes it. -1: its filesystem has none such
 * (O_TMPFILE), is not the directory's, may not be written, or has not that much room. Never rejects. On the thread
 * pool.
 */
export const openStage = addon.openStage
/**
 * Copies so many bytes at an offset from one open file to the same place of another, within the kernel where it can,
 * and frees them in the first one. Resolves with nothing. Rejects with `code` (ENOSPC, EDQUOT, EIO). On the thread
 * pool.
 */
export const moveContent = addon.moveContent
/**
 * Makes a directory and its missing parents, 0755 less the umask, for the actor; the path is clean and absolute. Packed
 * for `unpackDirectories`. Rejects with `code` and `syscall`. On the thread pool.
 */
export const makeDirectories = addon.makeDirectories
/**
 * Makes `pairs` (name without prefix and value in turn; undefined: whatever is there) the only extended attributes of
 * an open file whose names begin with `prefix`, with `stamp` sets its time of modification to now, with a clock fine
 * enough that no two writes have the same time, and returns version and attributes as they are then, packed for
 * `unpackFinished`. Closes the descriptor in any case; with `sync` it writes the file to the disk instead. On the
 * thread pool. Rejects with `code` and `syscall` (ENOSPC, EDQUOT).
 */
export const finishFile = addon.finishFile
/**
 * Copies all extended attributes from one open file to another, access control lists and capabilities included; those
 * that the target refuses are left out. Resolves with nothing. Both descriptors must stay open until it settles.
 * Rejects with `code`.
 */
export const copyAttributes = addon.copyAttributes
/**
 * Deletes a path and everything below it, never through a link; a missing one is no error. Goes on after a failure, and
 * then rejects with the first one's `code`. On the thread pool. Resolves with nothing.
 */
export const removeTree = addon.removeTree
/**
 * `removeTree` of what is open and had that name in an open directory, wherever it is by now; the name only if it is
 * still its, else it rejects with ESTALE.
 */
export const removeOpened = addon.removeOpened
/**
 * unlink(2); with a descriptor only if the path, links followed, leads to that very file (ESTALE). Resolves with
 * nothing. On the thread pool. Rejects with `code`.
 */
export const removeFile = addon.removeFile
/**
 * rename(2), never onto a directory (EEXIST) unless it is the same one by another path. Resolves with nothing. On the
 * thread pool. Rejects with `code`: EXDEV for another filesystem, ENOTDIR for a directory onto a file, ESTALE if
 * `expected` says that nothing (no bytes) or another version should be there.
 */
export const renameEntry = addon.renameEntry
/**
 * Opens (O_PATH) the directory that the last name of a path is in, packed for `unpackParent`; the caller closes it.
 * Rejects with `code`.
 */
export const openParent = addon.openParent
/**
 * From now on no path of a caller leads to the entries of that process in proc(5), as they are not to the daemon's own;
 * 0: only these. Throws a TypeError for what is no pid.
 */
export const hideProcess = addon.hideProcess
