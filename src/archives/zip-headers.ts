import { isUtf8 } from 'node:buffer'

/** A member of a zip archive, as its headers say it (APPNOTE 6.3.10). */
export interface ZipMember {
  /** Name as on disk; that of a directory has a slash at its end. */
  readonly name: Buffer
  /** With the bits of its type (S_IFMT). */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** Seconds since 1970. */
  readonly modified: number
  readonly deflated: boolean
  /** Its checksum and sizes come behind its content. */
  readonly streamed: boolean
  /** May have 4 GiB or more: fields of 8 bytes. */
  readonly large: boolean
}

/** What is known of the content when it is written. */
export interface ZipContent {
  readonly crc: number
  readonly compressed: number
  readonly size: number
}

/** Where a member is in the archive. */
interface PlacedMember extends ZipMember, ZipContent {
  readonly offset: number
}

const UTF8_NAME = 0x0800
const STREAMED = 0x0008
/** 4.5: with 64-bit fields; 2.0: deflate and directories. */
const [VERSION_64, VERSION] = [45, 20]
const MADE_BY_UNIX = 3 << 8
const MAX_32 = 0xffffffff
const MAX_16 = 0xffff

/** What stands before the content of a member. */
export function localHeader(member: ZipMember, content: ZipContent): Buffer {
  const { name, streamed, large } = member
  const wide = large ? fields64(streamed ? [0, 0] : [content.size, content.compressed]) : EMPTY
  const extra = Buffer.concat([wide, times(member), owners(member)])
  const header = Buffer.alloc(30)
  header.writeUInt32LE(0x04034b50, 0)
  header.writeUInt16LE(large ? VERSION_64 : VERSION, 4)
  writeCommon(header, 6, member)
  header.writeUInt32LE(streamed ? 0 : content.crc, 14)
  header.writeUInt32LE(large ? MAX_32 : streamed ? 0 : content.compressed, 18)
  header.writeUInt32LE(large ? MAX_32 : streamed ? 0 : content.size, 22)
  header.writeUInt16LE(name.length, 26)
  header.writeUInt16LE(extra.length, 28)
  return Buffer.concat([header, name, extra])
}

/** What stands behind the content of a member that is `streamed`. */
export function dataDescriptor({ large }: ZipMember, { crc, compressed, size }: ZipContent): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(0x08074b50, 0)
  head.writeUInt32LE(crc, 4)
  const sizes = Buffer.alloc(large ? 16 : 8)
  for (const [index, value] of [compressed, size].entries())
    if (large) sizes.writeBigUInt64LE(BigInt(value), index * 8)
    else sizes.writeUInt32LE(value, index * 4)
  return Buffer.concat([head, sizes])
}

/** The entry of a member in the directory at the end. */
export function directoryEntry(member: PlacedMember): Buffer {
  const { name, mode, crc, compressed, size, offset, large } = member
  const far = offset >= MAX_32
  const wide = [...(large ? [size, compressed] : []), ...(far ? [offset] : [])]
  const extra = Buffer.concat([wide.length > 0 ? fields64(wide) : EMPTY, times(member), owners(member)])
  const header = Buffer.alloc(46)
  header.writeUInt32LE(0x02014b50, 0)
  header.writeUInt16LE(MADE_BY_UNIX | (large || far ? VERSION_64 : VERSION), 4)
  header.writeUInt16LE(large || far ? VERSION_64 : VERSION, 6)
  writeCommon(header, 8, member)
  header.writeUInt32LE(crc, 16)
  header.writeUInt32LE(large ? MAX_32 : compressed, 20)
  header.writeUInt32LE(large ? MAX_32 : size, 24)
  header.writeUInt16LE(name.length, 28)
  header.writeUInt16LE(extra.length, 30)
  // The MS-DOS bit of a directory is the lowest.
  header.writeUInt32LE(((mode << 16) | (name.at(-1) === SLASH ? 0x10 : 0)) >>> 0, 38)
  header.writeUInt32LE(far ? MAX_32 : offset, 42)
  return Buffer.concat([header, name, extra])
}

/** The end of an archive, behind its directory. */
export function zipEnd(entries: number, bytes: number, offset: number): Buffer {
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  for (const at of [8, 10]) end.writeUInt16LE(Math.min(entries, MAX_16), at)
  end.writeUInt32LE(Math.min(bytes, MAX_32), 12)
  end.writeUInt32LE(Math.min(offset, MAX_32), 16)
  if (entries < MAX_16 && bytes < MAX_32 && offset < MAX_32) return end
  const end64 = Buffer.alloc(56)
  end64.writeUInt32LE(0x06064b50, 0)
  end64.writeBigUInt64LE(44n, 4)
  for (const at of [12, 14]) end64.writeUInt16LE(VERSION_64, at)
  for (const at of [24, 32]) end64.writeBigUInt64LE(BigInt(entries), at)
  end64.writeBigUInt64LE(BigInt(bytes), 40)
  end64.writeBigUInt64LE(BigInt(offset), 48)
  const locator = Buffer.alloc(20)
  locator.writeUInt32LE(0x07064b50, 0)
  locator.writeBigUInt64LE(BigInt(offset + bytes), 8)
  locator.writeUInt32LE(1, 16)
  return Buffer.concat([end64, locator, end])
}

const EMPTY = Buffer.alloc(0)
const SLASH = 0x2f

function writeCommon(header: Buffer, at: number, { name, streamed, deflated, modified }: ZipMember): void {
  header.writeUInt16LE((streamed ? STREAMED : 0) | (isUtf8(name) ? UTF8_NAME : 0), at)
  header.writeUInt16LE(deflated ? 8 : 0, at + 2)
  const { time, date } = dosTime(modified)
  header.writeUInt16LE(time, at + 4)
  header.writeUInt16LE(date, at + 6)
}

/** In UTC, from 1980 to 2107; `times` has the exact one. */
function dosTime(seconds: number): { readonly time: number; readonly date: number } {
  const at = new Date(Math.min(Math.max(seconds, 315_532_800), 4_354_819_198) * 1000)
  return {
    time: (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1),
    date: ((at.getUTCFullYear() - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate(),
  }
}

function fields64(values: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + values.length * 8)
  field.writeUInt16LE(0x0001, 0)
  field.writeUInt16LE(values.length * 8, 2)
  for (const [index, value] of values.entries()) field.writeBigUInt64LE(BigInt(value), 4 + index * 8)
  return field
}

/** Info-ZIP's extended timestamp, `UT`: 32 bits; none where they do not suffice. */
function times({ modified }: ZipMember): Buffer {
  if (modified < -(2 ** 31) || modified >= 2 ** 31) return EMPTY
  const field = Buffer.alloc(9)
  field.write('UT', 'latin1')
  field.writeUInt16LE(5, 2)
  field.writeUInt8(1, 4)
  field.writeInt32LE(modified, 5)
  return field
}

/** Info-ZIP's numeric owner, `ux`. */
function owners({ uid, gid }: ZipMember): Buffer {
  const field = Buffer.alloc(15)
  field.write('ux', 'latin1')
  field.writeUInt16LE(11, 2)
  field.writeUInt8(1, 4)
  field.writeUInt8(4, 5)
  field.writeUInt32LE(uid, 6)
  field.writeUInt8(4, 10)
  field.writeUInt32LE(gid, 11)
  return field
}
