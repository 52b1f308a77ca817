import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import { checkMetadata, METADATA_PREFIX } from '../filesystem/metadata.ts'
import type { Sink } from '../lib/pump.ts'
import { createTimeSlice } from '../lib/time-slice.ts'
import { MAX_ATTRIBUTES_BYTES, packUnpacked, type UnpackedEntry } from '../native/unpack.ts'
import { EntryBatch, SMALL_BYTES } from './entry-batch.ts'
import { unpackFailure } from './entry-failure.ts'
import { entryPath } from './entry-path.ts'
import { type LargeFile, openLargeFile } from './large-file.ts'
import { type ArchiveLimits, MIN_BOMB_BYTES } from './limits.ts'
import type { ArchiveEntry } from './tar-entry.ts'
import { badArchive } from './tar-fields.ts'
import { type ArchiveEvent, TarReader } from './tar-reader.ts'

/** Whom an archive is unpacked for, and how. */
export interface UnpackOptions {
  readonly owner: FileUser
  /** Owners and all bits of the mode are those of the archive; for root only. */
  readonly archiveOwners: boolean
  /** Components that every name loses. */
  readonly strip: number
  readonly limits: ArchiveLimits
  /** Bytes of the request so far, of which what is written was made. */
  readonly received: () => number
  /** The directory itself is as the archive says. */
  readonly ownsRoot: boolean
  /** Called now and then with what was made or is under way. */
  readonly onProgress?: (counts: { readonly entries: number; readonly bytes: number }) => void
  /** Counts what waits and the directories to be finished. The caller releases it. */
  readonly hold: Hold
}

/** Memory of a directory that is to be finished, beside its facts. */
const DIRECTORY_BYTES = 160
const MAX_ID = 0xfffffffe

/** A file whose content is still coming. */
interface Current {
  readonly facts: UnpackedEntry
  left: number
  /** Content of a small file. */
  readonly chunks: Buffer[]
  readonly large: LargeFile | undefined
}

/**
 * A sink of a tar archive that makes what it holds below an open directory; `end` resolves when all entries are made.
 * Its promises reject with AppError or the system error.
 */
export class Unpacker implements Sink {
  readonly #root: number
  readonly #options: UnpackOptions
  readonly #reader = new TarReader()
  readonly #slice = createTimeSlice()
  readonly #batch: EntryBatch
  /** By the length of their path: sorting 100,000 would hold the event loop for 50 ms. */
  readonly #directories = new Map<number, { readonly path: Buffer; readonly packed: Buffer }[]>()
  #current: Current | undefined
  #entries = 0
  #bytes = 0
  #archiveBytes = 0

  /** The caller closes `root` after `settled`. */
  constructor(root: number, options: UnpackOptions) {
    this.#root = root
    this.#options = options
    this.#batch = new EntryBatch(root, options)
  }

  /** Entries so far, and the bytes of their content. */
  get counts(): { readonly entries: number; readonly bytes: number } {
    return { entries: this.#entries, bytes: this.#bytes }
  }

  async write(chunk: Buffer): Promise<void> {
    this.#checkRatio(chunk.length, this.#options.received())
    for (const event of this.#reader.push(chunk)) {
      const wait = 'entry' in event ? this.#begin(event.entry) : this.#content(event.content)
      if (wait !== undefined) await wait
    }
    this.#options.onProgress?.(this.counts)
    await this.#slice.next()
  }

  /** Takes what another reader has read of an archive of so many bytes, in the place of `write`. */
  async take(event: ArchiveEvent, archiveBytes: number): Promise<void> {
    if ('content' in event) this.#checkRatio(event.content.length, archiveBytes)
    await ('entry' in event ? this.#begin(event.entry) : this.#content(event.content))
    await this.#slice.next()
  }

  /** Resolves when all that was taken is made. */
  flush(): Promise<void> {
    return this.#batch.flush()
  }

  async end(): Promise<void> {
    this.#reader.end()
    await this.#batch.flush()
  }

  /** Sets permissions and times of directories, the deepest first. After `end`, or after a failure and `settled`. */
  async finish(): Promise<void> {
    const lengths = [...this.#directories.keys()].sort((a, b) => b - a)
    const deepestFirst = lengths.flatMap((length) => this.#directories.get(length) ?? [])
    for (const { packed, path } of deepestFirst) await this.#batch.addPacked(packed, path)
    await this.#batch.flush()
  }

  /** Waits for what is under way, and removes what is half done. Never rejects. */
  async settled(): Promise<void> {
    await this.#batch.settled()
    await this.#current?.large?.close()
  }

  #checkRatio(length: number, received: number): void {
    const { limits } = this.#options
    this.#archiveBytes += length
    if (this.#archiveBytes > MIN_BOMB_BYTES && this.#archiveBytes > received * limits.ratio)
      throw tooLarge(`grows to more than ${limits.ratio} times its size`)
  }

  #count({ size, sparse, path }: ArchiveEntry): void {
    const { limits } = this.#options
    this.#entries++
    this.#bytes += Math.max(size, sparse?.size ?? 0)
    if (this.#entries > limits.entries) throw tooLarge(`has more than ${limits.entries} entries`)
    if (this.#bytes > limits.bytes) throw tooLarge(`has more than ${limits.bytes} bytes, with entry '${path}'`)
  }

  #begin(entry: ArchiveEntry): Promise<void> | undefined {
    const { strip, ownsRoot } = this.#options
    this.#count(entry)
    const path = entryPath(entry.path, strip)
    if (path === undefined || (path.length === 0 && entry.type === 'directory' && !ownsRoot)) return undefined
    const facts = factsOf(entry, path, this.#options)
    if (entry.type === 'directory') return this.#directory(facts)
    if (path.length === 0) throw badArchive(`entry '${entry.path}' has no name`)
    if (entry.type !== 'file') return this.#batch.add(facts, [])
    if (entry.size > SMALL_BYTES || entry.sparse !== undefined) return this.#openLarge(entry, facts)
    if (entry.size === 0) return this.#batch.add(facts, [])
    this.#current = { facts, left: entry.size, chunks: [], large: undefined }
    return undefined
  }

  #directory(facts: UnpackedEntry): Promise<void> | undefined {
    const packed = packUnpacked({ ...facts, kind: 'finished directory' })
    this.#options.hold.grow(packed.length + DIRECTORY_BYTES)
    const { length } = facts.path
    const same = this.#directories.get(length)
    if (same === undefined) this.#directories.set(length, [{ path: facts.path, packed }])
    else same.push({ path: facts.path, packed })
    return facts.path.length === 0 ? undefined : this.#batch.add(facts, [])
  }

  #content(piece: Buffer): Promise<void> | undefined {
    const current = this.#current
    if (current === undefined) return undefined
    current.left -= piece.length
    if (current.large !== undefined) return this.#writeLarge(current.large, piece, current)
    current.chunks.push(piece)
    if (current.left > 0) return undefined
    this.#current = undefined
    return this.#batch.add(current.facts, current.chunks)
  }

  async #openLarge(entry: ArchiveEntry, facts: UnpackedEntry): Promise<void> {
    await this.#batch.flush()
    const { path } = facts
    const opening = openLargeFile(this.#root, { ...this.#options, path, entry })
    const large = await opening.catch((error: unknown) => this.#refuse(path, error))
    this.#current = { facts, left: entry.size, chunks: [], large }
    if (entry.size === 0) await this.#placeLarge(large, facts)
  }

  async #writeLarge(large: LargeFile, piece: Buffer, { facts, left }: Current): Promise<void> {
    try {
      await large.write(piece)
    } catch (error) {
      this.#refuse(facts.path, error)
    }
    if (left === 0) await this.#placeLarge(large, facts)
  }

  async #placeLarge(large: LargeFile, facts: UnpackedEntry): Promise<void> {
    await large.place(packUnpacked(facts)).catch((error: unknown) => this.#refuse(facts.path, error))
    this.#current = undefined
    await large.close()
  }

  #refuse(path: Buffer, error: unknown): never {
    throw unpackFailure(path, error, this.#options.owner)
  }
}

const EMPTY = Buffer.alloc(0)

function tooLarge(problem: string): AppError {
  return new AppError('too_large', `the archive ${problem}`)
}

function factsOf(entry: ArchiveEntry, path: Buffer, { owner, archiveOwners, strip }: UnpackOptions): UnpackedEntry {
  const { type, mode, modified, target } = entry
  const ids = archiveOwners ? entry : owner
  if (ids.uid < 0 || ids.uid > MAX_ID || ids.gid < 0 || ids.gid > MAX_ID)
    throw badArchive(`entry '${entry.path}' has an owner that there cannot be`)
  if (type === 'link' && target.includes(0)) throw badArchive(`entry '${entry.path}' has a target with a zero byte`)
  const linked = type === 'hard link' ? entryPath(target, strip) : target
  if (type === 'hard link' && !linked?.length) throw badArchive(`entry '${entry.path}' is another name of nothing`)
  return {
    kind: type,
    path,
    mode: archiveOwners ? mode : mode & 0o777,
    uid: ids.uid,
    gid: ids.gid,
    modifiedSeconds: modified.seconds,
    modifiedNanoseconds: modified.nanoseconds,
    target: type === 'file' || type === 'directory' ? EMPTY : (linked ?? EMPTY),
    attributes: attributesOf(entry, archiveOwners),
  }
}

/** Those of users, and with the archive's owners the capabilities of a file. Throws AppError for what cannot be set. */
function attributesOf({ type, path, attributes }: ArchiveEntry, archiveOwners: boolean): UnpackedEntry['attributes'] {
  if (attributes.size === 0 || (type !== 'file' && type !== 'directory')) return []
  const taken = [...attributes].filter(([name]) => name !== CAPABILITY || (archiveOwners && type === 'file'))
  const metadata = taken.filter(([name]) => name.startsWith(METADATA_PREFIX))
  checkMetadata(
    new Map(metadata.map(([name, value]) => [name.slice(METADATA_PREFIX.length), value.toString('latin1')])),
  )
  let bytes = 0
  for (const [name, value] of taken) {
    bytes += name.length + value.length
    if (name.length > MAX_ATTRIBUTE_NAME || name.includes('\0'))
      throw badArchive(`entry '${path}' has an attribute with a name that there cannot be`)
  }
  if (bytes > MAX_ATTRIBUTES_BYTES)
    throw badArchive(`entry '${path}' has attributes of more than ${MAX_ATTRIBUTES_BYTES} bytes`)
  return taken
}

const CAPABILITY = 'security.capability'
/** XATTR_NAME_MAX (xattr(7)). */
const MAX_ATTRIBUTE_NAME = 255
