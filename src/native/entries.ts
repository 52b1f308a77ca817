/** The facts about one directory entry, from lstat(2). */
export interface RawEntry {
  /** Name as on disk, which need not be UTF-8. */
  readonly name: Buffer
  /** st_mode. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: bigint
  readonly modifiedSeconds: bigint
  readonly modifiedNanoseconds: number
  /** Set for symbolic links: where they lead, or that they lead nowhere. */
  readonly link: 'broken' | { readonly mode: number; readonly path: Buffer } | undefined
  /**
   * A mount point whose filesystem fails or does not answer: this is what the kernel knows of it, and what is in it
   * must not be asked for.
   */
  readonly silent: boolean
  /** Extended attributes, without their prefix; of a link's target. */
  readonly attributes: readonly (readonly [Buffer, Buffer])[]
}

/** The layout that `unpackEntries` reads: `entry_layout` of native/entry-layout.h, which must be the same. */
export const ENTRY_LAYOUT = 2

/** `fixed_bytes` there. */
const FIXED_BYTES = 33
const LINK = 1
const BROKEN_LINK = 2
const SILENT = 3
const NO_ATTRIBUTES: readonly (readonly [Buffer, Buffer])[] = []

/** Reads what `readEntry` and `readEntries` have packed, one entry at a time; views into `packed`. */
export function* unpackEntries(packed: Buffer): Generator<RawEntry> {
  const cursor = { packed, at: 0 }
  while (cursor.at < packed.length) yield takeEntry(cursor)
}

/** Reads what `readEntry` has packed, which is one entry. Throws a RangeError for nothing. */
export function unpackEntry(packed: Buffer): RawEntry {
  return takeEntry({ packed, at: 0 })
}

function takeEntry(cursor: Cursor): RawEntry {
  const { packed } = cursor
  const name = takeText(cursor)
  const fixed = cursor.at
  cursor.at += FIXED_BYTES
  const linkState = packed.readUInt8(fixed + FIXED_BYTES - 1)
  return {
    name,
    mode: packed.readUInt32LE(fixed),
    uid: packed.readUInt32LE(fixed + 4),
    gid: packed.readUInt32LE(fixed + 8),
    size: packed.readBigInt64LE(fixed + 12),
    modifiedSeconds: packed.readBigInt64LE(fixed + 20),
    modifiedNanoseconds: packed.readUInt32LE(fixed + 28),
    link: linkState === LINK ? takeLink(cursor) : linkState === BROKEN_LINK ? 'broken' : undefined,
    silent: linkState === SILENT,
    attributes: takeAttributes(cursor),
  }
}

/** What `openToWrite` found. */
export interface Opened {
  /** The caller closes it. Undefined: `mode` is not that of a regular file, and nothing was opened. */
  readonly fd: number | undefined
  /** st_mode. */
  readonly mode: number
  /** It was not there before. */
  readonly made: boolean
  /** Bytes that it has now. */
  readonly size: number
  /** Why the file could not be given to its owner (`EPERM`); empty: it was. */
  readonly ownerError: string
  /** Set: it has no name yet (`nameFile`). */
  readonly unnamed: Unnamed | undefined
}

/** Where a file without a name belongs. */
export interface Unnamed {
  /** Its directory. The caller closes it. */
  readonly parent: number
  readonly name: Buffer
}

/** Reads what `openToWrite` has packed. */
export function unpackOpened(packed: Buffer): Opened {
  return takeOpened({ packed, at: 0 })
}

function takeOpened(cursor: Cursor): Opened {
  const { packed, at } = cursor
  const fd = packed.readInt32LE(at)
  const mode = packed.readUInt32LE(at + 4)
  const made = packed.readUInt32LE(at + 8) === 1
  const size = Number(packed.readBigInt64LE(at + 12))
  cursor.at += 20
  const ownerError = takeText(cursor).toString()
  const name = takeText(cursor)
  const parent = packed.readInt32LE(cursor.at)
  cursor.at += 4
  const unnamed = parent < 0 ? undefined : { parent, name }
  return { fd: fd < 0 ? undefined : fd, mode, made, size, ownerError, unnamed }
}

/** The result of `storeFile`. */
interface StoredAtOnce {
  readonly opened: Opened
  /** Bytes that were written. */
  readonly written: number
  /** The file is closed, and has its name; undefined: it is open, unless there was nothing to open. */
  readonly finished: Finished | undefined
}

/** Reads what `storeFile` has packed. */
export function unpackStored(packed: Buffer): StoredAtOnce {
  const cursor = { packed, at: 0 }
  const opened = takeOpened(cursor)
  const written = takeInteger(cursor)
  const rest = packed.subarray(cursor.at)
  return { opened, written, finished: rest.length === 0 ? undefined : unpackFinished(rest) }
}

/** What `readStatus` has found. */
export interface Status {
  /** st_mode. */
  readonly mode: number
  readonly device: bigint
  readonly inode: bigint
  /** The device that a device file stands for. */
  readonly rdev: bigint
  /** f_type of statfs(2). */
  readonly filesystem: bigint
  /** For `unpackVersion`. */
  readonly version: Buffer
  /** The path without links, as bytes. */
  readonly real: Buffer
}

/** Reads what `readStatus` has packed. */
export function unpackStatus(packed: Buffer): Status {
  return {
    mode: packed.readUInt32LE(0),
    rdev: packed.readBigUInt64LE(4),
    device: packed.readBigUInt64LE(12),
    inode: packed.readBigUInt64LE(20),
    filesystem: packed.readBigUInt64LE(28),
    version: packed.subarray(36, 36 + VERSION_BYTES),
    real: takeText({ packed, at: 36 + VERSION_BYTES }),
  }
}

/**
 * Reads what `makeDirectories` has packed: whether the last one was made, and what was in the way and is no directory,
 * if anything.
 */
export function unpackDirectories(packed: Buffer): { readonly made: boolean; readonly file: string | undefined } {
  const file = packed.subarray(4).toString()
  return { made: packed.readUInt32LE(0) === 1, file: file === '' ? undefined : file }
}

/** Reads what `openParent` has packed. */
export function unpackParent(packed: Buffer): { readonly fd: number; readonly name: Buffer } {
  return { fd: packed.readInt32LE(0), name: packed.subarray(4) }
}

/** Bytes of a version. */
export const VERSION_BYTES = 48
const NS = 1_000_000_000n

/** What distinguishes one state of a file from every other one, by the names of `BigIntStats`. */
export interface FileVersion {
  readonly ino: bigint
  /** Bytes. */
  readonly size: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
}

/** Reads a version as the addon packs it, less its device. */
export function unpackVersion(packed: Buffer): FileVersion {
  const time = (at: number) => packed.readBigInt64LE(at) * NS + BigInt(packed.readUInt32LE(at + 8))
  return { ino: packed.readBigUInt64LE(8), size: packed.readBigInt64LE(16), mtimeNs: time(24), ctimeNs: time(36) }
}

/** What `openBeside` has opened, and what was there. */
export interface Beside {
  /** Undefined: what is there already is no regular file, or must not be there. */
  readonly fd: number | undefined
  /** Its directory. */
  readonly parent: number
  /** What is to be replaced, for reading; undefined: there is nothing, or it could not be opened. */
  readonly old: number | undefined
  /** What is to be replaced; undefined: there is nothing. */
  readonly existing:
    | { readonly mode: number; readonly uid: number; readonly gid: number; readonly version: Buffer }
    | undefined
  /** Identifies the place, whatever the path. */
  readonly key: string
  readonly name: Buffer
  /** Its name until it is placed; empty: none. */
  readonly temporary: Buffer
}

/** Reads what `openBeside` has packed. */
export function unpackBeside(packed: Buffer): Beside {
  const integer = (at: number) => packed.readUInt32LE(at)
  const descriptor = (at: number) => (packed.readInt32LE(at) < 0 ? undefined : packed.readInt32LE(at))
  const cursor = { packed, at: 88 }
  const name = takeText(cursor)
  const existing = { mode: integer(12), uid: integer(16), gid: integer(20), version: packed.subarray(24, 72) }
  return {
    fd: descriptor(0),
    parent: packed.readInt32LE(4),
    old: descriptor(8),
    existing: existing.mode === 0 ? undefined : existing,
    key: `${packed.readBigUInt64LE(72)}:${packed.readBigUInt64LE(80)}:${name.toString('latin1')}`,
    name,
    temporary: takeText(cursor),
  }
}

/** The result of `finishFile`. */
export interface Finished {
  readonly version: FileVersion
  /** The filesystem takes no attributes. */
  readonly unsupported: boolean
  readonly attributes: readonly (readonly [Buffer, Buffer])[]
}

/** Reads what `finishFile` has packed. */
export function unpackFinished(packed: Buffer): Finished {
  return {
    version: unpackVersion(packed),
    unsupported: packed.readUInt32LE(VERSION_BYTES) === 1,
    attributes: takeAttributes({ packed, at: VERSION_BYTES + 4 }),
  }
}

interface Cursor {
  readonly packed: Buffer
  at: number
}

function takeInteger(cursor: Cursor): number {
  cursor.at += 4
  return cursor.packed.readUInt32LE(cursor.at - 4)
}

function takeText(cursor: Cursor): Buffer {
  const length = takeInteger(cursor)
  cursor.at += length
  return cursor.packed.subarray(cursor.at - length, cursor.at)
}

function takeLink(cursor: Cursor): { readonly mode: number; readonly path: Buffer } {
  return { mode: takeInteger(cursor), path: takeText(cursor) }
}

function takeAttributes(cursor: Cursor): readonly (readonly [Buffer, Buffer])[] {
  const count = takeInteger(cursor)
  if (count === 0) return NO_ATTRIBUTES
  return Array.from({ length: count }, () => [takeText(cursor), takeText(cursor)] as const)
}
