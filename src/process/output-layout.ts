/**
 * Layout of the memory that output lies in and that outlives the daemon; `native/kept-read.cc` says the same. A
 * control part, then slabs of `SLAB_BYTES`. The control part: a head, a slot for each key of the keeper, and a table of
 * how many bytes of each slab are in use. A slab: chunks, each behind a header, at multiples of 8.
 */

/** Says what the memory is, and the version of its layout. */
export const MAGIC = 0x4456_4e45
export const VERSION = 1

/** Whether memory that begins with these bytes is of this layout, or new. */
export function isKnownLayout(head: Buffer): boolean {
  const [magic, version] = [head.readUInt32LE(0), head.readUInt32LE(4)]
  return (magic === MAGIC && version === VERSION) || (magic === 0 && version === 0)
}

/** Indexes into the head, in 32-bit numbers: magic and version, then the read that is under way (`Intent`). */
export const HEAD = { magic: 0, version: 1, slab: 16, at: 17, asked: 18, exact: 19 } as const

/** Numbers of 64 bits in a slot: positions of the streams, bytes of input, size of the terminal, and counters. */
export const SLOT = { input: 3, columns: 4, rows: 5, generation: 6, order: 7 } as const

const SLOT_BYTES = 64
const SLOTS_AT = 4096
const TABLE_AT = SLOTS_AT + 65_536 * SLOT_BYTES

/** Slabs that there can be; only what is written takes memory. More than the windows of all processes need. */
export const MAX_SLABS = 32_768

export const CONTROL_BYTES = TABLE_AT + MAX_SLABS * 4

/** Where the first slab begins: a multiple of a page of any machine. */
export const SLABS_AT = 70 * 64 * 1024

/** A header: key, generation, length and stream in 32-bit numbers, then offset and order in 64-bit ones. */
export const HEADER_BYTES = 32

/** Numbers of the streams in headers and slots; `END` in the place of one is an account of the process. */
export const STREAMS = ['stdout', 'stderr', 'pty'] as const
export const END = 3

/** What is written in the place of bytes before they are read. */
const MARK = [0xfb, 0xf9, 0xff, 0xf8, 0xfd, 0xfa, 0xfe, 0xfc, 0xf9, 0xfd, 0xfb, 0xf8, 0xfc, 0xff, 0xfa, 0xfe]

/** Whether the byte at that place is still the mark that was written before the read. */
export function isMark(byte: number | undefined, place: number): boolean {
  return byte === MARK[place % MARK.length]
}

/** Bytes at the end of an exact read that are marked before it. */
export const MARK_BYTES = MARK.length

/** Where the slot of a key begins, in 64-bit numbers. */
export function slotAt(key: number): number {
  return (SLOTS_AT + key * SLOT_BYTES) / 8
}

/** Where a slab stands in the table, in 32-bit numbers. */
export function tableAt(slab: number): number {
  return TABLE_AT / 4 + slab
}

/** What a chunk of that many bytes takes, with its header. */
export function chunkBytes(length: number): number {
  return HEADER_BYTES + Math.ceil(length / 8) * 8
}
