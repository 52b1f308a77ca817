import { read } from '../native/index.ts'
import { readKept } from '../native/kept-read.ts'
import { END, HEADER_BYTES, SLOT, STREAMS, slotAt } from './output-layout.ts'
import type { Chunk, Offsets, StreamName } from './output-log.ts'
import type { OutputMemory } from './output-memory.ts'
import type { FoundOutput } from './output-recovery.ts'
import type { TerminalSize } from './process.ts'
import { SLAB_BYTES, type Slab, type SlabPool } from './slab-pool.ts'

/**
 * Output, positions and size of one process in the memory that outlives the daemon, under its key. After `detach` the
 * key is another's, and what is called does what it does without a keeper.
 */
export class KeptOutput {
  readonly #found: Chunk[]
  readonly #memory: OutputMemory
  readonly #key: number
  readonly #slot: number
  readonly #kept: boolean
  #attached = true
  #input = 0
  #account: { readonly bytes: Uint8Array; readonly slab: Slab } | undefined

  /** @param kept false: only positions are kept, as of output that is limited. */
  constructor(
    memory: OutputMemory,
    key: number,
    { kept, found }: { readonly kept: boolean; readonly found?: FoundOutput | undefined },
  ) {
    this.#memory = memory
    this.#kept = kept
    this.#key = key
    this.#slot = slotAt(key)
    this.#found = found?.chunks ?? []
    this.#account = found?.end
    this.#input = this.#get(SLOT.input)
  }

  get pool(): SlabPool {
    return this.#memory.pool
  }

  /** What an earlier daemon has left, once; it is the caller's to forget and to release. */
  takeFound(): Chunk[] {
    return this.#found.splice(0)
  }

  /** Where each stream has come to. */
  get produced(): Offsets {
    return { stdout: this.#get(0), stderr: this.#get(1), pty: this.#get(2) }
  }

  /** Bytes of input written so far, to be changed in place. */
  readonly input = ((owner: KeptOutput) => ({
    get bytes() {
      return owner.#input
    },
    set bytes(value: number) {
      owner.#input = value
      owner.#set(SLOT.input, value)
    },
  }))(this)

  /** Size of the terminal after its last change; undefined: it was not changed. */
  get size(): TerminalSize | undefined {
    const [columns, rows] = [this.#get(SLOT.columns), this.#get(SLOT.rows)]
    return columns === 0 && rows === 0 ? undefined : { columns, rows }
  }

  set size({ columns, rows }: TerminalSize) {
    this.#set(SLOT.columns, columns)
    this.#set(SLOT.rows, rows)
  }

  /** Forgets whatever the key stood for before. */
  clear(): void {
    const { numbers } = this.#memory
    const generation = this.#get(SLOT.generation) + 1
    numbers.fill(0, this.#slot, this.#slot + 8)
    this.#set(SLOT.generation, generation)
    this.#input = 0
  }

  /**
   * read(2) of at most `most` bytes behind what is in the slab: what was read is kept from then on. Returns the result
   * of read(2), and where the bytes are.
   */
  read(fd: number, stream: StreamName, slab: Slab, most: number): { readonly length: number; readonly begin: number } {
    const at = slab.used
    const begin = at + HEADER_BYTES
    const room = Math.min(most, SLAB_BYTES - begin)
    const place = STREAMS.indexOf(stream)
    const { number, memory } = slab
    let length: number
    if (this.#attached && this.#kept && number !== undefined) {
      length = readKept(fd, this.#memory.control, memory, number, at, room, this.#key * STREAMS.length + place)
    } else {
      length = read(fd, memory, begin, room)
      if (length > 0) this.#set(place, this.#get(place) + length)
    }
    if (length > 0) slab.used = Math.min(SLAB_BYTES, begin + Math.ceil(length / 8) * 8)
    return { length, begin }
  }

  /** Keeps bytes that come from no descriptor. Returns where, with a hold on the slab; undefined: they are not kept. */
  write(stream: StreamName, bytes: Buffer) {
    const place = STREAMS.indexOf(stream)
    const offset = this.#get(place)
    this.#set(place, offset + bytes.length)
    const placed = this.#kept ? this.place(stream, offset, bytes.length) : undefined
    if (placed === undefined) return undefined
    bytes.copy(placed.bytes)
    placed.commit()
    return placed
  }

  /** Room for what is left of a stream when the process has ended (`OutputMemory.place`). */
  place(stream: StreamName, offset: number, length: number) {
    if (!this.#attached) return undefined
    return this.#memory.place(length, { key: this.#key, stream: STREAMS.indexOf(stream), offset })
  }

  /** The chunk has left the log: the next daemon does not find it. Its slab is the caller's to release. */
  forget({ slab, bytes }: Pick<Chunk, 'slab' | 'bytes'>): void {
    if (slab?.number !== undefined) slab.memory.writeUInt32LE(0, bytes.byteOffset - HEADER_BYTES)
  }

  /** Keeps an account of the process (`KeptAccount`) in the place of the one before; undefined: none. */
  setAccount(account: Buffer | undefined): void {
    if (!this.#attached) return
    const before = this.#account
    this.#account = account === undefined ? undefined : this.#placeAccount(account)
    // Last: of two that a daemon leaves which is killed in between the newer one counts.
    if (before !== undefined) this.#drop(before)
  }

  #placeAccount(account: Buffer) {
    const placed = this.#memory.place(account.length, { key: this.#key, stream: END, offset: 0 })
    if (placed === undefined) return undefined
    account.copy(placed.bytes)
    placed.commit()
    return placed
  }

  /** The key is another's from now on. */
  detach(): void {
    for (const chunk of this.#found.splice(0)) {
      this.forget(chunk)
      if (chunk.slab !== undefined) this.pool.release(chunk.slab)
    }
    this.setAccount(undefined)
    this.#attached = false
  }

  #drop(account: { readonly bytes: Uint8Array; readonly slab: Slab }): void {
    this.forget(account)
    this.pool.release(account.slab)
  }

  #get(index: number): number {
    return this.#memory.numbers[this.#slot + index] ?? 0
  }

  #set(index: number, value: number): void {
    if (this.#attached) this.#memory.numbers[this.#slot + index] = value
  }
}
