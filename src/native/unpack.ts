import type { Actor } from './files.ts'
import { loadAddon } from './load.ts'

/** The functions of the addon that make what an archive holds, below an open directory and through no link. */
interface UnpackAddon {
  unpackEntries(actor: Actor, archiveOwners: boolean, root: number, packed: Uint8Array): Promise<Buffer>
  openUnpacked(actor: Actor, archiveOwners: boolean, root: number, path: Uint8Array): Promise<Buffer>
  placeUnpacked(
    actor: Actor,
    archiveOwners: boolean,
    file: number,
    parent: number,
    name: Uint8Array,
    temporary: Uint8Array,
    packed: Uint8Array,
  ): Promise<Buffer>
  openDirectoryBeside(path: Uint8Array, actor: Actor): Promise<Buffer>
  placeDirectory(
    root: number,
    parent: number,
    temporary: Uint8Array,
    name: Uint8Array,
    actor: Actor,
    replacedUid: number | undefined,
  ): Promise<Buffer>
}

const addon = loadAddon<UnpackAddon>()

/**
 * Makes the entries that `writeUnpacked` has written, in their order, until one fails: how many were made, as 32 bits,
 * then the name of the errno with its length before it (no bytes: none). What stands there is replaced, never written
 * or followed: EEXIST for a directory in the way, ENOTDIR for a file where a directory is needed, ELOOP for a link on
 * the way. With `archiveOwners` owners are those of the entries, also of what was there before. On the thread pool, as
 * all of these. Rejects with `code` and `syscall`.
 */
export const unpackEntries = addon.unpackEntries
/**
 * Opens a new file for an entry that is too large for `unpackEntries`, for `placeUnpacked`, packed for
 * `unpackOpenUnpacked`; the caller closes both descriptors, and removes the temporary name if the file is not placed.
 * Rejects with `code` and `syscall`.
 */
export const openUnpacked = addon.openUnpacked
/**
 * Makes such a file be as its entry says and puts it in its place in one step. A temporary name is gone then. Rejects
 * with `code`.
 */
export const placeUnpacked = addon.placeUnpacked
/**
 * Makes a directory that only the caller may enter beside the directory at a path, or beside where it would be; packed
 * for `unpackDirectoryBeside`. The caller closes both descriptors and removes the directory (`removeOpened`). Rejects
 * with `code` and `syscall`: `open` with ENOTDIR for what is no directory, `create` where none can be made.
 */
export const openDirectoryBeside = addon.openDirectoryBeside
/**
 * Lets a directory of `openDirectoryBeside` and the one of that user that stands there change places, or (undefined)
 * puts it where nothing stands, in one step. Resolves with a descriptor of what has the temporary name then, packed as
 * 4 bytes, which the caller closes; -1: nothing. Rejects with `code` and `syscall` `place`: ESTALE where something else
 * has the temporary name or stands there.
 */
export const placeDirectory = addon.placeDirectory

const KINDS = { file: 0, directory: 1, link: 2, 'hard link': 3, 'finished directory': 4 } as const

/** An entry to be made. */
export interface UnpackedEntry {
  readonly kind: keyof typeof KINDS
  /** Relative, without empty components, `.` and `..`; empty for the directory itself, once it is finished. */
  readonly path: Buffer
  /** Permissions and the bits above them. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly modifiedSeconds: number
  /** 0 to 999,999,999. */
  readonly modifiedNanoseconds: number
  /** Of a link, or the path of the entry that this is another name of. */
  readonly target: Buffer
  /** Extended attributes by their whole names. */
  readonly attributes: readonly (readonly [string, Buffer])[]
}

const FACTS_BYTES = 28
const LENGTH_BYTES = 4

/** Attributes of an entry, and bytes of their names and values: what `readTree` reads of one. */
export const [MAX_ATTRIBUTES, MAX_ATTRIBUTES_BYTES] = [512, 64 * 1024]
/** Bytes that `writeUnpacked` writes at most, beside the content: two paths, and attributes with lengths before them. */
export const MAX_FACTS_BYTES = 2 * 4096 + MAX_ATTRIBUTES_BYTES + 8 * MAX_ATTRIBUTES + 1024

/** The bytes of an entry without content for the functions above. */
export function packUnpacked(entry: UnpackedEntry): Buffer {
  const packed = Buffer.allocUnsafe(FACTS_BYTES + lengthOf(entry))
  writeUnpacked(packed, 0, entry, [])
  return packed
}

function lengthOf({ path, target, attributes }: UnpackedEntry): number {
  const named = attributes.reduce((sum, [name, value]) => sum + 2 * LENGTH_BYTES + name.length + value.length, 0)
  return 4 * LENGTH_BYTES + path.length + target.length + named
}

/** Writes an entry and its content at an offset, and returns the one behind it. There must be room. */
export function writeUnpacked(packed: Buffer, at: number, entry: UnpackedEntry, content: readonly Buffer[]): number {
  packed.writeUInt32LE(KINDS[entry.kind], at)
  packed.writeUInt32LE(entry.mode, at + 4)
  packed.writeUInt32LE(entry.uid, at + 8)
  packed.writeUInt32LE(entry.gid, at + 12)
  packed.writeBigInt64LE(BigInt(entry.modifiedSeconds), at + 16)
  packed.writeUInt32LE(entry.modifiedNanoseconds, at + 24)
  let end = writeText(packed, at + FACTS_BYTES, entry.path)
  end = writeText(packed, end, entry.target)
  const contentAt = end + LENGTH_BYTES
  end = contentAt
  for (const piece of content) end += piece.copy(packed, end)
  packed.writeUInt32LE(end - contentAt, contentAt - LENGTH_BYTES)
  end = packed.writeUInt32LE(entry.attributes.length, end)
  for (const [name, value] of entry.attributes)
    end = writeText(packed, writeText(packed, end, Buffer.from(name, 'latin1')), value)
  return end
}

function writeText(packed: Buffer, at: number, text: Buffer): number {
  const start = packed.writeUInt32LE(text.length, at)
  return start + text.copy(packed, start)
}

/** How far `unpackEntries` came. */
export function unpackProgress(packed: Buffer): { readonly made: number; readonly error: string } {
  return { made: packed.readUInt32LE(0), error: packed.subarray(8).toString('latin1') }
}

/** A file that `openUnpacked` has opened. */
interface OpenUnpacked {
  readonly fd: number
  readonly parent: number
  readonly name: Buffer
  /** Empty: it has no name yet. */
  readonly temporary: Buffer
}

/** Reads the result of `openUnpacked`. */
export function unpackOpenUnpacked(packed: Buffer): OpenUnpacked {
  const [name, temporary] = textsFrom(packed, 8)
  return { fd: packed.readInt32LE(0), parent: packed.readInt32LE(4), name, temporary }
}

/** A directory that `openDirectoryBeside` has made. */
export interface DirectoryBeside {
  readonly root: number
  readonly parent: number
  readonly temporary: Buffer
  /** Where it belongs, in `parent`. */
  readonly name: Buffer
  /** The directory that stands there; undefined: none. */
  readonly existing: { readonly mode: number; readonly uid: number; readonly gid: number } | undefined
}

/** Reads the result of `openDirectoryBeside`. */
export function unpackDirectoryBeside(packed: Buffer): DirectoryBeside {
  const [name, temporary] = textsFrom(packed, 24)
  const facts = { mode: packed.readUInt32LE(12), uid: packed.readUInt32LE(16), gid: packed.readUInt32LE(20) }
  const existing = packed.readUInt32LE(8) === 1 ? facts : undefined
  return { root: packed.readInt32LE(0), parent: packed.readInt32LE(4), temporary, name, existing }
}

function textsFrom(packed: Buffer, at: number): [Buffer, Buffer] {
  const middle = at + LENGTH_BYTES + packed.readUInt32LE(at)
  return [packed.subarray(at + LENGTH_BYTES, middle), packed.subarray(middle + LENGTH_BYTES)]
}
