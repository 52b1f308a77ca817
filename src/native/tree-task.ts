import type { Actor } from './files.ts'
import { loadAddon } from './load.ts'

/** Work on a tree: how far it is, and that it is to end. */
export type TreeTask = { readonly __treeTask: never }

/** The functions of the addon that work on whole trees, each on a thread of its own. */
interface TreeTaskAddon {
  createTreeTask(): TreeTask
  treeTaskState(task: TreeTask): Buffer
  cancelTreeTask(task: TreeTask): void
  copyTree(
    task: TreeTask,
    source: Uint8Array,
    destination: Uint8Array,
    actor: Actor,
    recursive: boolean,
    replace: boolean,
    keepOwners: boolean,
  ): Promise<Buffer>
  changeTree(
    task: TreeTask,
    path: Uint8Array,
    actor: Actor,
    recursive: boolean,
    changes: Uint8Array,
    attributes: readonly string[],
    removed: readonly string[],
  ): Promise<Buffer>
  measureTree(task: TreeTask, path: Uint8Array, actor: Actor, depth: number, oneFilesystem: boolean): Promise<Buffer>
}

const addon = loadAddon<TreeTaskAddon>()

/** Makes what one of the functions below is given, and what is asked about it. */
export const createTreeTask = addon.createTreeTask
/** How far it is, packed for `unpackTreeState`. What it has put is taken by that. At once. */
export const treeTaskState = addon.treeTaskState
/** Lets it end as soon as the system call returns that it is in: with ECANCELED. Idempotent. */
export const cancelTreeTask = addon.cancelTreeTask
/**
 * Copies a file, link or directory beside its destination, which it takes in one step when it is whole; whatever went
 * wrong, nothing else is left, or the task says what. Resolves with nothing. Rejects with `code` and `syscall`:
 * `source`, `destination` (EEXIST, EISDIR, ENOTDIR, EBUSY, EROFS), `overlap` if one is in the other, `place`, and
 * `copy` with the path in the task: ECANCELED, ENOBUFS for more names than are kept, ENAMETOOLONG for more than 500
 * levels, ELOOP for a directory in itself.
 */
export const copyTree = addon.copyTree
/**
 * Changes what `packChanges` has packed of an entry, or of all in a directory, and sets and removes extended attributes
 * (whole names; name and value in turn); below the top what may not be changed is left out. Resolves with nothing.
 * Rejects with `code` and `syscall`: `source`, `rights`, and `change` as `copyTree`.
 */
export const changeTree = addon.changeTree
/**
 * Adds up what a tree takes of the disk, and puts the directories down to a depth, and the root last, for
 * `unpackUsages`. Resolves with nothing. Rejects with `code` and `syscall`: `source`, and `measure` as `copyTree`.
 */
export const measureTree = addon.measureTree

/** How far a task is. */
export interface TreeState {
  readonly files: bigint
  readonly directories: bigint
  readonly links: bigint
  readonly bytes: bigint
  /** Of a copy: bytes that share their place. Of a measure: files that may have been counted again. */
  readonly shared: bigint
  readonly leftOut: bigint
  /** Nanoseconds that its thread has spent on a processor: the same for as long as it hangs in a system call. */
  readonly spentNs: bigint
  /** For `unpackUsages`; empty of all others. */
  readonly output: Buffer
  /** Some of what was left out. */
  readonly leftOutPaths: readonly Buffer[]
  /** Below the root: what the failure is about. Empty: the root, or no failure. */
  readonly blamed: Buffer
  /** A name beside the destination that could not be removed. Empty: there is none. */
  readonly leftBehind: Buffer
  /** Below the root: what it is at. Empty: the root. */
  readonly lookedAt: Buffer
}

const NUMBERS = 7
const NUMBER_BYTES = 8
const LENGTH_BYTES = 4

/** Reads what `treeTaskState` has packed; views into it. */
export function unpackTreeState(packed: Buffer): TreeState {
  const number = (index: number) => packed.readBigUInt64LE(index * NUMBER_BYTES)
  const [output = EMPTY, paths = EMPTY, blamed = EMPTY, leftBehind = EMPTY, lookedAt = EMPTY] = textsIn(
    packed.subarray(NUMBERS * NUMBER_BYTES),
  )
  return {
    ...{ files: number(0), directories: number(1), links: number(2), bytes: number(3), shared: number(4) },
    ...{ leftOut: number(5), spentNs: number(6), output },
    ...{ leftOutPaths: [...textsIn(paths)], blamed, leftBehind, lookedAt },
  }
}

const EMPTY = Buffer.alloc(0)

function* textsIn(packed: Buffer): Generator<Buffer> {
  for (let at = 0; at < packed.length; ) {
    const end = at + LENGTH_BYTES + packed.readUInt32LE(at)
    yield packed.subarray(at + LENGTH_BYTES, end)
    at = end
  }
}

/** What a directory takes. */
export interface TreeUsage {
  /** Below the root; empty: itself. */
  readonly path: Buffer
  readonly bytes: bigint
  readonly length: bigint
  readonly entries: bigint
}

const USAGE_NUMBERS = 3

/** Reads what `measureTree` has put; views into it. */
export function* unpackUsages(output: Buffer): Generator<TreeUsage> {
  for (let at = 0; at < output.length; ) {
    const number = (index: number) => output.readBigUInt64LE(at + index * NUMBER_BYTES)
    const usage = { bytes: number(0), length: number(1), entries: number(2) }
    const start = at + USAGE_NUMBERS * NUMBER_BYTES + LENGTH_BYTES
    const end = start + output.readUInt32LE(start - LENGTH_BYTES)
    yield { ...usage, path: output.subarray(start, end) }
    at = end
  }
}

/** A time of a file. */
export interface FileTime {
  readonly seconds: bigint
  /** 0 to 999,999,999. */
  readonly nanoseconds: number
}

/** What `changeTree` sets; undefined: it stays. */
interface TreeChanges {
  readonly mode: number | undefined
  readonly directoryMode: number | undefined
  readonly uid: number | undefined
  readonly gid: number | undefined
  readonly accessed: FileTime | undefined
  readonly modified: FileTime | undefined
}

const CHANGES_BYTES = 48

/** Packs them for `changeTree`. */
export function packChanges({ mode, directoryMode, uid, gid, accessed, modified }: TreeChanges): Buffer {
  const packed = Buffer.alloc(CHANGES_BYTES)
  let present = 0
  for (const [index, value] of [mode, directoryMode, uid, gid].entries()) {
    if (value === undefined) continue
    present |= 1 << index
    packed.writeUInt32LE(value, LENGTH_BYTES * (index + 1))
  }
  for (const [bit, at, time] of [[32, 20, accessed] as const, [16, 32, modified] as const]) {
    if (time === undefined) continue
    present |= bit
    packed.writeBigInt64LE(time.seconds, at)
    packed.writeUInt32LE(time.nanoseconds, at + NUMBER_BYTES)
  }
  packed.writeUInt32LE(present, 0)
  return packed
}
