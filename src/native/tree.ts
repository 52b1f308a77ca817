import type { Actor } from './files.ts'
import { loadAddon } from './load.ts'

/** The functions of the addon that read a tree below an open directory, and reach nothing through a link. */
interface TreeAddon {
  openTree(path: Uint8Array, actor: Actor): Promise<Buffer>
  openTreeFile(root: number, path: Uint8Array, actor: Actor): Promise<Buffer>
  listTree(root: number, path: Uint8Array, actor: Actor, limit: number): Promise<Buffer>
  readTree(root: number, path: Uint8Array, actor: Actor, names: Uint8Array, limit: number): Promise<Buffer>
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
 * The first of these names in a directory below it, until they take `limit` bytes and one small file: how many bytes of
 * `names` were used, as 32 bits, then the entries, for `unpackTree`. Rejects with `code`.
 */
export const readTree = addon.readTree

/** An entry of a tree. */
export interface TreeEntry {
  readonly name: Buffer
  /** The errno's name if it could not be read; empty: it could. */
  readonly error: string
  /** st_mode. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly links: number
  readonly device: bigint
  readonly inode: bigint
  readonly size: bigint
  readonly modifiedSeconds: bigint
  readonly modifiedNanoseconds: number
  /** Of a file, or the target of a link; undefined: the file is larger than 64 KiB, and was not opened. */
  readonly content: Buffer | undefined
}

/** Reads what `readTree` has packed behind its count; views into `packed`. */
export function* unpackTree(packed: Buffer): Generator<TreeEntry> {
  let at = 0
  const text = () => {
    const length = packed.readUInt32LE(at)
    at += 4 + length
    return packed.subarray(at - length, at)
  }
  while (at < packed.length) {
    const [name, error] = [text(), text().toString()]
    const facts = at
    at += 56
    const content = text()
    yield {
      name,
      error,
      mode: packed.readUInt32LE(facts),
      uid: packed.readUInt32LE(facts + 4),
      gid: packed.readUInt32LE(facts + 8),
      links: packed.readUInt32LE(facts + 12),
      device: packed.readBigUInt64LE(facts + 16),
      inode: packed.readBigUInt64LE(facts + 24),
      size: packed.readBigUInt64LE(facts + 32),
      modifiedSeconds: packed.readBigInt64LE(facts + 40),
      modifiedNanoseconds: packed.readUInt32LE(facts + 48),
      content: packed.readUInt32LE(facts + 52) === 2 ? undefined : content,
    }
  }
}
