import { inSlices, type Steps } from '../lib/steps.ts'
import { createTimeSlice } from '../lib/time-slice.ts'
import type { Actor } from './files.ts'
import { loadAddon } from './load.ts'

/** The functions of the addon that archive a tree below an open directory, and reach nothing through a link. */
interface TreeAddon {
  openTree(path: Uint8Array, actor: Actor): Promise<Buffer>
  openTreeFile(root: number, path: Uint8Array, actor: Actor): Promise<Buffer>
  listTree(root: number, path: Uint8Array, actor: Actor, limit: number): Promise<Buffer>
  readTree(
    root: number,
    path: Uint8Array,
    actor: Actor,
    leading: Uint8Array,
    limit: number,
    namesLimit: number,
    names: Uint8Array | undefined,
    owners: Uint8Array,
    wholeSeconds: boolean,
  ): Promise<Buffer>
  filePieces(file: number, limit: number): Promise<Buffer>
  tarHeader(
    facts: Uint8Array,
    name: Uint8Array,
    link: Uint8Array,
    flag: number,
    size: number,
    owners: Uint8Array,
    realSize?: number,
  ): Buffer
}

const addon = loadAddon<TreeAddon>()

/**
 * Opens a directory for the functions below, links on the way followed as for the actor; packed as four bytes, the
 * caller closes it. On the thread pool, as all of these. Rejects with `code` and `syscall`.
 */
export const openTree = addon.openTree
/**
 * Opens a regular file below it by a relative path, packed as four bytes; the caller closes it. Rejects with `code`.
 */
export const openTreeFile = addon.openTreeFile
/**
 * The names in a directory below it (no bytes: itself), in byte order, for `readTree`; none in a filesystem of the
 * kernel's own. Rejects with `code`: EOVERFLOW for more than `limit` packed bytes.
 */
export const listTree = addon.listTree
/**
 * The first of these names in a directory below it, as a tar archive, until they take `limit` bytes and one small file,
 * or a tenth of a second; packed for `unpackTree`. Without names all that it has (listed as by `listTree`), and then
 * the directories below it, each before those in it. `leading` is before every name, `owners` are those of
 * `packOwners`; with `wholeSeconds` times lose their fractions. Rejects with `code` if that directory cannot be read.
 */
export const readTree = addon.readTree

/** A piece of a file. */
export interface FilePiece {
  readonly offset: number
  readonly length: number
}

/**
 * Where an open file has content and no holes, in order: whole blocks of 512 bytes, but for the end. Moves its
 * position. Rejects with `code`: EOVERFLOW for more than `limit`.
 */
export async function filePieces(file: number, limit: number): Promise<FilePiece[]> {
  const packed = await addon.filePieces(file, limit)
  return Array.from({ length: packed.length / 16 }, (_, index) => ({
    offset: Number(packed.readBigUInt64LE(16 * index)),
    length: Number(packed.readBigUInt64LE(16 * index + 8)),
  }))
}

/** Users and groups that have their names in one archive: others come by number. */
const MAX_OWNERS = 256
/** What a header has room for, without what would mean something else elsewhere. */
const OWNER_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.$@-]{0,30}$/

/** Names of owners, for headers. */
export function packOwners(
  users: Iterable<readonly [number, string]>,
  groups: Iterable<readonly [number, string]>,
): Buffer {
  const packed: Buffer[] = []
  for (const [kind, names] of [
    ['u', users],
    ['g', groups],
  ] as const) {
    let left = MAX_OWNERS
    for (const [id, name] of names) {
      if (!OWNER_NAME.test(name)) continue
      if (left-- === 0) break
      const head = Buffer.from([kind.charCodeAt(0), 0, 0, 0, 0, name.length])
      head.writeUInt32LE(id, 1)
      packed.push(head, Buffer.from(name))
    }
  }
  return Buffer.concat(packed)
}

const FLAGS = { file: '0', 'hard link': '1', link: '2', directory: '5' } as const

/** What the header of an entry says that `readTree` has left to its caller. */
interface HeaderParts {
  readonly facts: Buffer
  readonly name: Buffer
  /** The name of the entry that a hard link is another name of; else empty. */
  readonly link: Buffer
  readonly type: keyof typeof FLAGS
  /** Bytes of content that follow. */
  readonly size: number
  /** Of `packOwners`. */
  readonly owners: Buffer
  /** Bytes of a file with holes, whose content is a map and its pieces; undefined: it has none. */
  readonly realSize?: number | undefined
}

/** The header blocks of an entry in a tar archive (pax), with extended ones before it where it needs them. */
export function tarHeader({ facts, name, link, type, size, owners, realSize }: HeaderParts): Buffer {
  return addon.tarHeader(facts, name, link, FLAGS[type].charCodeAt(0), size, owners, realSize)
}

/** The names that `listTree` has packed; views into it. */
export function* unpackNames(names: Buffer): Generator<{ readonly name: Buffer; readonly isDirectory: boolean }> {
  for (let at = 0; at < names.length; ) {
    const end = at + LENGTH_BYTES + names.readUInt32LE(at)
    yield { name: names.subarray(at + LENGTH_BYTES + 1, end), isDirectory: names[at + LENGTH_BYTES] === DIRECTORY }
    at = end
  }
}

/**
 * Those of the names that `listTree` has packed that `wanted` takes, packed again. Other work is served meanwhile.
 * Rejects with what `wanted` throws.
 */
export async function filterNames(
  names: Buffer,
  wanted: (name: Buffer, isDirectory: boolean) => Steps<boolean>,
): Promise<Buffer> {
  const taken: Buffer[] = []
  const slice = createTimeSlice()
  for (let at = 0; at < names.length; ) {
    const end = at + LENGTH_BYTES + names.readUInt32LE(at)
    const kind = names[at + LENGTH_BYTES]
    const judged = inSlices(wanted(names.subarray(at + LENGTH_BYTES + 1, end), kind === DIRECTORY), slice)
    // A wait for each name would cost more than most of them take.
    const isTaken: boolean = typeof judged === 'boolean' ? judged : await judged
    if (isTaken) taken.push(names.subarray(at, end))
    at = end
    const turn = slice.next()
    if (turn !== undefined) await turn
  }
  return Buffer.concat(taken)
}

const LENGTH_BYTES = 4
const DIRECTORY = 'd'.charCodeAt(0)
/** As `Piece` in pieces.h. */
const KINDS = ['bytes', 'large', 'linked', 'left out', 'found', 'other', 'rest'] as const

/** What of a directory is yet to be archived. */
interface TreeRest {
  readonly path: Buffer
  readonly names: Buffer
}

/** What `readTree` has packed. */
interface TreeBatch {
  /** Bytes of the given names that were used. */
  readonly used: number
  /** Of names that were listed. */
  readonly rest: TreeRest | undefined
  /** Paths of directories whose headers are written: those in the one that has a rest, or whose names were given. */
  readonly found: readonly Buffer[]
  /** And those that come after all of these. */
  readonly others: readonly Buffer[]
  readonly pieces: readonly TreePiece[]
}

/**
 * In order: bytes of the archive, an entry for `unpackTreeEntry` that is too large or has several names, the path of one
 * that could not be archived.
 */
interface TreePiece {
  readonly kind: 'bytes' | 'large' | 'linked' | 'left out'
  readonly bytes: Buffer
}

/** Reads what `readTree` has packed; the pieces are views into it. */
export function unpackTree(packed: Buffer): TreeBatch {
  const pieces: TreePiece[] = []
  const found: Buffer[] = []
  const others: Buffer[] = []
  let rest: TreeRest | undefined
  for (let at = LENGTH_BYTES; at < packed.length; ) {
    const end = at + 2 * LENGTH_BYTES + packed.readUInt32LE(at + LENGTH_BYTES)
    const kind = KINDS[packed.readUInt32LE(at)] ?? 'left out'
    const bytes = packed.subarray(at + 2 * LENGTH_BYTES, end)
    if (kind === 'found') found.push(Buffer.from(bytes))
    else if (kind === 'other') others.push(Buffer.from(bytes))
    else if (kind === 'rest') rest = unpackRest(Buffer.from(bytes))
    else pieces.push({ kind, bytes })
    at = end
  }
  return { used: packed.readUInt32LE(0), rest, found, others, pieces }
}

function unpackRest(bytes: Buffer): TreeRest {
  const namesAt = LENGTH_BYTES + bytes.readUInt32LE(0)
  return { path: bytes.subarray(LENGTH_BYTES, namesAt), names: bytes.subarray(namesAt) }
}

/** An entry that is left to the caller of `readTree`. */
export interface TreeEntry {
  /** For `tarHeader`. */
  readonly facts: Buffer
  /** Below the root. */
  readonly path: Buffer
  readonly links: number
  /** The same for all names of a file. */
  readonly identity: string
  /** Empty of a large file. */
  readonly content: Buffer
}

/** Offsets in the facts. */
const LINKS_AT = 12
const DEVICE_AT = 28
const ATTRIBUTES_AT = 44

/** Reads the piece of such an entry; views into it. */
export function unpackTreeEntry(piece: Buffer): TreeEntry {
  let at = ATTRIBUTES_AT + LENGTH_BYTES
  const skipText = () => {
    at += LENGTH_BYTES + piece.readUInt32LE(at)
  }
  for (let left = 2 * piece.readUInt32LE(ATTRIBUTES_AT); left > 0; left--) skipText()
  const facts = piece.subarray(0, at)
  const pathAt = at + LENGTH_BYTES
  skipText()
  return {
    facts,
    path: piece.subarray(pathAt, at),
    links: piece.readUInt32LE(LINKS_AT),
    identity: piece.toString('latin1', DEVICE_AT, ATTRIBUTES_AT),
    content: piece.subarray(at),
  }
}
