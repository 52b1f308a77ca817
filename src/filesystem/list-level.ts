import type { Hold } from '../budget/budget.ts'
import { type RawEntry, unpackEntries } from '../native/entries.ts'
import { type Actor, readEntries, readNames } from '../native/files.ts'
import { fileErrno } from './failure.ts'
import { METADATA_PREFIX } from './metadata.ts'

/** Room for the names of most directories, some 2,000. What is larger is read again with four times as much. */
const NAMES_BYTES = 32 * 1024
const NAMES_GROWTH = 4

/**
 * Memory that `readNames` takes, as a multiple of the room for names: what it reads, where each begins, the sorted
 * copy.
 */
const NAMES_COST = 3

/**
 * Names whose entries are read at once, at least 64 of them, and where it stops: attributes may take 64 KiB for one
 * entry.
 */
const WINDOW_BYTES = 16 * 1024
const ENTRIES_BYTES = 64 * 1024

/** The user that a directory is read as, and the hold that its memory counts in. */
interface LevelOptions {
  readonly actor: Actor
  readonly hold: Hold
}

/** A directory whose entries are read as they are taken. */
interface Level {
  /** The next entry in byte order, undefined after the last one. */
  next(): Promise<RawEntry | undefined>
  /** Releases what the names take. */
  close(): void
}

/** What a level takes beside names and entries: objects, and its path as bytes, as text and in each call. */
const LEVEL_OVERHEAD_BYTES = 1024
const PATH_COST = 3

/**
 * Reads the names of a directory. Rejects with the system error, or AppError `budget_spent` where `hold` cannot grow by
 * them. `next` rejects with the latter, too: entries count with the most that they can take while they are read, and
 * then with what they take.
 */
export async function openLevel(path: Buffer, { actor, hold }: LevelOptions): Promise<Level> {
  const overhead = LEVEL_OVERHEAD_BYTES + path.length * PATH_COST
  let names = await namesIn(path, { actor, hold })
  let held = names.length
  const count = (bytes: number) => {
    if (bytes < 0) hold.shrink(-bytes)
    else hold.grow(bytes)
    held += bytes
  }
  count(overhead)
  let entries: Iterator<RawEntry> = [][Symbol.iterator]()
  let taken = 0
  const read = () => {
    if (names.length === 0) return undefined
    count(ENTRIES_BYTES)
    return readEntries(path, METADATA_PREFIX, names.subarray(0, WINDOW_BYTES), ENTRIES_BYTES, actor).catch(failureOf)
  }
  let coming = read()
  return {
    next: async () => {
      for (;;) {
        const item = entries.next()
        if (!item.done) return item.value
        const packed = await coming
        if (packed === undefined) return undefined
        if (!Buffer.isBuffer(packed)) return gone(packed.error)
        count(packed.length - taken - ENTRIES_BYTES)
        taken = packed.length
        names = names.subarray(packed.readUInt32LE(0))
        coming = read()
        entries = unpackEntries(packed.subarray(4))
      }
    },
    close: () => hold.shrink(held),
  }
}

/** Kept until it is asked for: a level may be left before. */
function failureOf(error: unknown) {
  return { error }
}

async function namesIn(path: Buffer, { actor, hold }: LevelOptions): Promise<Buffer> {
  for (let room = NAMES_BYTES; ; room *= NAMES_GROWTH) {
    hold.grow(room * NAMES_COST)
    try {
      const names = await readNames(path, room, actor)
      hold.shrink(room * NAMES_COST - names.length)
      return names
    } catch (error) {
      hold.shrink(room * NAMES_COST)
      if (fileErrno(error) !== 'EOVERFLOW') throw error
    }
  }
}

/** The directory went away after its names were read, and its entries with it. */
function gone(error: unknown): undefined {
  if (!GONE.has(fileErrno(error) ?? '')) throw error
}

const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES'])
