import type { Readable } from 'node:stream'
import type { Hold } from '../budget/budget.ts'
import { AppError } from '../errors.ts'
import { isPassing } from '../filesystem/failure.ts'
import type { FileUser } from '../filesystem/file-user.ts'
import {
  closePartial,
  isPlaced,
  makePartial,
  openPartial,
  placePartial,
  removePartial,
  storePartials,
} from '../filesystem/partial-file.ts'
import type { UploadTarget } from '../filesystem/upload.ts'
import type { WriteCondition } from '../filesystem/write-condition.ts'
import { NEVER } from '../lib/never.ts'
import type { Log } from '../log.ts'
import { randomUuid } from '../native/random.ts'
import { isWhole, type SaidLength, withLength } from './deferred.ts'
import { type Expiry, leftOf, newExpiry } from './expiry.ts'
import { MAX_FINISHED, SWEEP_MS } from './limits.ts'
import { createUploadLocks, type UploadLock } from './locks.ts'
import { checkLength, checkQuota, checkRoom, maxLength } from './quota.ts'
import { type Checksum, receivePiece } from './receive.ts'
import { isFinished, NOTHING_YET, type UploadRecord } from './record.ts'
import { openRecords } from './records.ts'

/** What an upload is made of. */
export type NewUpload = Omit<UploadRecord, 'id' | 'place' | 'offset' | 'done' | 'tag' | keyof Expiry>

/** What comes in one request. */
interface Incoming {
  readonly source: Readable
  /** Where the client says that it goes. */
  readonly offset: number
  readonly checksum: Checksum | undefined
  readonly said: SaidLength
  readonly signal: AbortSignal
  readonly idleMs: number
  /** Counts what waits for the disk. The caller releases it. */
  readonly hold: Hold
}

interface UploadsOptions {
  /** Directory of the records. */
  readonly dir: string
  /** Bytes that unfinished uploads may have in sum. */
  readonly maxBytes: number
  /** The user of that name as a user of files. Rejects with AppError. */
  readonly ownerOf: (user: string) => Promise<FileUser>
  /** The condition of condition headers. Throws AppError. */
  readonly conditionOf: (headers: Readonly<Record<string, string>>) => WriteCondition | undefined
  readonly log: Log
}

/**
 * Uploads that come in several requests, and that outlive the daemon: what has come of each is in a file beside its
 * target, what is known of it in a record. One request at a time works on an upload. All methods reject with AppError.
 */
export class Uploads {
  readonly #options: UploadsOptions
  readonly #records
  readonly #locks = createUploadLocks()
  /** By id, the oldest change first. */
  readonly #uploads = new Map<string, UploadRecord>()
  #loading: Promise<void> | undefined
  #sweeping: NodeJS.Timeout | undefined

  constructor(options: UploadsOptions) {
    this.#options = options
    this.#records = openRecords(options.dir)
  }

  /** The most bytes that one may have. */
  get maxLength(): number {
    return maxLength(this.#options.maxBytes)
  }

  /** From now on what has expired is removed. Ends with `close`. */
  begin(): void {
    void this.#sweep()
    this.#sweeping = setInterval(() => void this.#sweep(), SWEEP_MS).unref()
  }

  close(): void {
    clearInterval(this.#sweeping)
  }

  /** What is known of an upload, without its lock; undefined: there is none. */
  async find(id: string): Promise<UploadRecord | undefined> {
    await this.#loaded()
    const upload = this.#uploads.get(id)
    return upload !== undefined && leftOf(upload) > 0 ? upload : undefined
  }

  /** Makes an upload of which nothing has come. Rejects as `checkQuota`, `checkRoom` and `makePartial`. */
  async create(asked: NewUpload, hold: Hold): Promise<UploadRecord> {
    await this.#loaded()
    const { user, length } = asked
    checkQuota(this.#unfinished(), { user, length, maxBytes: this.#options.maxBytes })
    const id = randomUuid()
    const reserved: UploadRecord = { ...asked, ...NOTHING_YET, id, ...newExpiry() }
    // Counts from now on.
    this.#uploads.set(id, reserved)
    try {
      const { place, free } = await makePartial(await this.#target(reserved, hold), `.envd-${id}.part`)
      const upload = { ...reserved, place }
      this.#uploads.set(id, upload)
      checkRoom(this.#unfinished(id), { device: place.device, free, length })
      await this.#records.save(upload)
      return upload
    } catch (error) {
      await this.#forget(this.#uploads.get(id) ?? reserved)
      throw error
    }
  }

  /**
   * The upload, when no other call works on it; one that is complete is put in its place first, as its daemon may have
   * ended.
   */
  async look(id: string, hold: Hold): Promise<UploadRecord> {
    using lock = await this.#locks.acquire(id)
    const upload = await this.#get(id)
    if (upload.done) return upload
    return isWhole(upload) ? this.#complete(upload, lock, hold) : this.#present(upload)
  }

  /**
   * Takes a piece of an upload, and puts the file in its place when all has come. Rejects with not_found, locked,
   * aborted for another offset, as `receivePiece`, and as `storeFile`; the upload is gone if the file cannot be put in
   * its place.
   */
  async append(id: string, incoming: Incoming): Promise<UploadRecord> {
    using lock = await this.#locks.acquire(id)
    const upload = await this.#get(id)
    if (incoming.offset !== upload.offset)
      throw new AppError('aborted', `the upload has ${upload.offset} bytes, not ${incoming.offset}`)
    if (upload.done) return upload
    const received = await this.#receive(await this.#lengthened(upload, incoming.said), incoming, lock)
    return isWhole(received) ? this.#complete(received, lock, incoming.hold) : received
  }

  async #lengthened(upload: UploadRecord, said: SaidLength): Promise<UploadRecord> {
    const next = withLength(upload, said)
    if (next === upload) return upload
    const { id, user, length } = next
    checkQuota(this.#unfinished(id), { user, length, maxBytes: this.#options.maxBytes })
    await this.#keep(next)
    return next
  }

  /** Joins partial uploads that are whole, in that order, to a file; they are gone then, unless the signal aborts. */
  async join(ids: readonly string[], asked: NewUpload, how: Pick<Incoming, 'hold' | 'signal'>): Promise<UploadRecord> {
    await this.#loaded()
    using locks = new DisposableStack()
    for (const id of new Set(ids)) locks.use(await this.#locks.acquire(id)).keep()
    const parts = await Promise.all(ids.map((id) => this.#get(id)))
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    for (const { done, concat, offset, length: whole } of parts)
      if (!done || concat !== 'partial' || offset !== whole)
        throw new AppError('invalid_argument', 'only partial uploads that are whole can be joined')
    checkLength(length, this.#options.maxBytes)
    const joined = { ...asked, ...NOTHING_YET, id: randomUuid(), ...newExpiry(), length }
    const target = { ...(await this.#target(joined, how.hold)), signal: how.signal }
    const places = parts.map(({ place }) => place)
    const tag = await storePartials(places, target)
    for (const part of parts) await this.#forget(part)
    return this.#finish({ ...joined, offset: length }, tag)
  }

  /** Removes an upload, and what has come of it; a request that brings more is ended. A file in its place stays. */
  async remove(id: string): Promise<void> {
    using _lock = await this.#locks.seize(id)
    await this.#forget(await this.#get(id))
  }

  async #receive(upload: UploadRecord, incoming: Incoming, lock: UploadLock): Promise<UploadRecord> {
    let current = upload
    const { source, checksum, idleMs, hold } = incoming
    const onDisk = async (offset: number) => {
      current = { ...current, offset, ...newExpiry() }
      await this.#keep(current)
    }
    const fd = await this.#open(upload)
    try {
      const signal = AbortSignal.any([incoming.signal, lock.signal])
      const { offset, length } = upload
      await receivePiece(source, { fd, offset, length, checksum, signal, idleMs, hold, onChunk: lock.touch, onDisk })
      return current
    } finally {
      await closePartial(fd)
    }
  }

  /** What is whole is put in its place whether its client waits for it or not. */
  async #complete(upload: UploadRecord, lock: UploadLock, hold: Hold): Promise<UploadRecord> {
    lock.keep()
    if (upload.concat === 'partial') return this.#finish(upload, undefined)
    try {
      return await this.#finish(upload, await this.#putInPlace(upload, hold))
    } catch (error) {
      if (!isPassing(error)) await this.#forget(upload)
      throw error
    }
  }

  async #putInPlace(upload: UploadRecord, hold: Hold): Promise<string | undefined> {
    const { place, path, mode } = upload
    // The last daemon may have ended just after it.
    if (await isPlaced(place, path)) return undefined
    const target = await this.#target(upload, hold)
    if (mode !== 'overwrite') return placePartial(await openPartial(place), place, target)
    const tag = await storePartials([place], target)
    await removePartial(place)
    return tag
  }

  async #finish(upload: UploadRecord, tag: string | undefined): Promise<UploadRecord> {
    const finished = { ...upload, done: true, tag, ...newExpiry() }
    await this.#keep(finished)
    const done = [...this.#uploads.values()].filter(isFinished)
    for (const oldest of done.slice(0, Math.max(0, done.length - MAX_FINISHED))) await this.#forget(oldest)
    return finished
  }

  async #target(upload: UploadRecord, hold: Hold): Promise<Omit<UploadTarget, 'content'>> {
    const { path, user, confined, mode, chmod, conditions, metadata, length } = upload
    const { ownerOf, conditionOf, log } = this.#options
    const owner = await ownerOf(user)
    return {
      // A complete upload is put in its place also when its client has left.
      ...{ path, chmod, hold, log, announcedBytes: length, signal: NEVER },
      mode: upload.concat === 'partial' ? 'atomic' : mode,
      owner: confined ? { ...owner, beneath: Buffer.from(owner.home) } : owner,
      condition: conditionOf(conditions),
      metadata: new Map(Object.entries(metadata)),
    }
  }

  /** Rejects with not_found, and forgets the upload, when what had come of it is not there any more. */
  async #open(upload: UploadRecord): Promise<number> {
    return openPartial(upload.place).catch(async (error: unknown) => {
      if (error instanceof AppError && error.kind === 'not_found') await this.#forget(upload)
      throw error
    })
  }

  async #present(upload: UploadRecord): Promise<UploadRecord> {
    await closePartial(await this.#open(upload))
    return upload
  }

  async #get(id: string): Promise<UploadRecord> {
    const upload = await this.find(id)
    if (upload === undefined) throw new AppError('not_found', 'there is no such upload, or it has expired')
    return upload
  }

  async #keep(upload: UploadRecord): Promise<void> {
    this.#uploads.delete(upload.id)
    this.#uploads.set(upload.id, upload)
    await this.#records.save(upload)
  }

  async #forget({ id, place, done, concat }: UploadRecord): Promise<void> {
    this.#uploads.delete(id)
    if (!done || concat === 'partial') await removePartial(place)
    await this.#records.remove(id).catch(() => {})
  }

  /** What holds room: also partial uploads that are whole and wait to be joined. */
  *#unfinished(but?: string): Generator<UploadRecord, void> {
    for (const upload of this.#uploads.values()) if (!isFinished(upload) && upload.id !== but) yield upload
  }

  #loaded(): Promise<void> {
    this.#loading ??= this.#load()
    return this.#loading
  }

  async #load(): Promise<void> {
    const found = await this.#records.load()
    for (const upload of found.sort((a, b) => a.expires - b.expires)) this.#uploads.set(upload.id, upload)
  }

  async #sweep(): Promise<void> {
    await this.#loaded()
    for (const upload of [...this.#uploads.values()]) {
      if (leftOf(upload) > 0) continue
      try {
        using _lock = await this.#locks.acquire(upload.id)
        await this.#forget(upload)
      } catch {}
    }
  }
}
