import type { FileUser } from '../filesystem/file-user.ts'
import { MAX_FACTS_BYTES, type UnpackedEntry, unpackEntries, unpackProgress, writeUnpacked } from '../native/unpack.ts'
import { entryError } from './entry-failure.ts'

/** Files up to this size are made many at once. */
export const SMALL_BYTES = 64 * 1024
/** Bytes of entries that are made in one piece of work; the last one comes on top. */
const BATCH_BYTES = 256 * 1024
const BUFFER_BYTES = BATCH_BYTES + SMALL_BYTES + MAX_FACTS_BYTES
/** Batches that wait or are made, beside the one that is collected: the disk is busy while the next ones come. */
const MAX_BATCHES = 3
/** Memory of all of them. */
export const BATCHES_BYTES = (MAX_BATCHES + 1) * BUFFER_BYTES

/** Entries that are made many at once below an open directory, in their order, while the next ones are read. */
export class EntryBatch {
  readonly #root: number
  readonly #owner: FileUser
  readonly #archiveOwners: boolean
  /** Used again: fresh memory costs more than what is done with it. */
  readonly #free: Buffer[] = []
  #buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  #bytes = 0
  #paths: Buffer[] = []
  /** The last batch; each begins when the one before is made, and fails if that has. */
  #running: Promise<void> = Promise.resolve()
  #pending = 0
  #room = Promise.withResolvers<void>()

  constructor(root: number, { owner, archiveOwners }: { readonly owner: FileUser; readonly archiveOwners: boolean }) {
    this.#root = root
    this.#owner = owner
    this.#archiveOwners = archiveOwners
  }

  /** Undefined while there is room; else settles when there is, with what went wrong before. */
  add(entry: UnpackedEntry, content: readonly Buffer[]): Promise<void> | undefined {
    return this.#added(writeUnpacked(this.#buffer, this.#bytes, entry, content), entry.path)
  }

  /** The same for what `packUnpacked` has packed. */
  addPacked(packed: Buffer, path: Buffer): Promise<void> | undefined {
    return this.#added(this.#bytes + packed.copy(this.#buffer, this.#bytes), path)
  }

  /** Resolves when all are made. Rejects with AppError. */
  async flush(): Promise<void> {
    this.#start()
    await this.#running
  }

  /** Resolves when nothing is under way. Never rejects. */
  settled(): Promise<void> {
    return this.#running.catch(() => {})
  }

  #added(bytes: number, path: Buffer): Promise<void> | undefined {
    this.#bytes = bytes
    this.#paths.push(path)
    if (bytes < BATCH_BYTES) return undefined
    this.#start()
    return this.#pending >= MAX_BATCHES ? this.#hasRoom() : undefined
  }

  async #hasRoom(): Promise<void> {
    while (this.#pending >= MAX_BATCHES) await this.#room.promise
    // After a failure all that wait fail at once.
    if (this.#pending === 0) await this.#running
  }

  #start(): void {
    if (this.#bytes === 0) return
    const [buffer, bytes, paths] = [this.#buffer, this.#bytes, this.#paths]
    this.#buffer = this.#free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES)
    this.#bytes = 0
    this.#paths = []
    this.#pending++
    this.#running = this.#running
      .then(() => this.#make(buffer.subarray(0, bytes), paths))
      .finally(() => {
        this.#free.push(buffer)
        this.#pending--
        this.#room.resolve()
        this.#room = Promise.withResolvers()
      })
    // The next `add` or `flush` rejects with it.
    this.#running.catch(() => {})
  }

  async #make(packed: Buffer, paths: readonly Buffer[]): Promise<void> {
    const { made, error } = unpackProgress(await unpackEntries(this.#owner, this.#archiveOwners, this.#root, packed))
    if (error !== '') throw entryError(paths[made] ?? Buffer.alloc(0), error, this.#owner)
  }
}
