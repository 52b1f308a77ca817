import type { FileUser } from '../filesystem/file-user.ts'
import { withWriteSlot } from '../filesystem/write-semaphore.ts'
import { packUnpacked, type UnpackedEntry, unpackEntries, unpackProgress } from '../native/unpack.ts'
import { entryError } from './entry-failure.ts'

/** Bytes of entries that are made in one piece of work. */
export const UNPACK_BATCH_BYTES = 256 * 1024

/** Entries that are made many at once, in their order, while the next ones are read. */
interface EntryBatch {
  /** Undefined while there is room; else settles when there is, with what went wrong before. */
  add(entry: UnpackedEntry, content: Buffer): Promise<void> | undefined
  addPacked(packed: Buffer, path: Buffer): Promise<void> | undefined
  /** Resolves when all are made. Rejects with AppError. */
  flush(): Promise<void>
  /** Resolves when nothing is under way. Never rejects. */
  settled(): Promise<void>
}

/** Makes one for entries below an open directory. */
export function createEntryBatch(
  root: number,
  { owner, archiveOwners }: { readonly owner: FileUser; readonly archiveOwners: boolean },
): EntryBatch {
  let waiting: Buffer[] = []
  let paths: Buffer[] = []
  let bytes = 0
  let running: Promise<void> = Promise.resolve()

  const make = async (packed: Buffer, names: readonly Buffer[]): Promise<void> => {
    const { made, error } = unpackProgress(await withWriteSlot(() => unpackEntries(owner, archiveOwners, root, packed)))
    if (error !== '') throw entryError(names[made] ?? Buffer.alloc(0), error, owner)
  }
  const start = async (): Promise<void> => {
    const [packed, names] = [Buffer.concat(waiting), paths]
    waiting = []
    paths = []
    bytes = 0
    await running
    running = make(packed, names)
    // Noticed by the next one.
    running.catch(() => {})
  }
  const addPacked = (packed: Buffer, path: Buffer) => {
    waiting.push(packed)
    paths.push(path)
    bytes += packed.length
    return bytes >= UNPACK_BATCH_BYTES ? start() : undefined
  }
  return {
    add: (entry, content) => addPacked(packUnpacked(entry, content), entry.path),
    addPacked,
    flush: async () => {
      if (waiting.length > 0) await start()
      await running
    },
    settled: () => running.catch(() => {}),
  }
}
