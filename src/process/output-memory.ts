import type { Deposit, Keeper } from '../keeper/keeper.ts'
import { OUTPUT_KEY } from '../keeper/keys.ts'
import { close, duplicate } from '../native/index.ts'
import { clearMemory, mapMemory } from '../native/kept-read.ts'
import { sharedMemory } from '../native/packets.ts'
import {
  CONTROL_BYTES,
  chunkBytes,
  HEAD,
  HEADER_BYTES,
  MAGIC,
  MAX_SLABS,
  SLABS_AT,
  SLOT,
  slotAt,
  tableAt,
  VERSION,
} from './output-layout.ts'
import { type FoundOutput, findOutput } from './output-recovery.ts'
import { SLAB_BYTES, type Slab, SlabPool } from './slab-pool.ts'

/**
 * The memory that output of all processes lies in, and their positions: the keeper has it as well, so that the next
 * daemon finds every byte. Only what is written takes memory, and what was released takes none.
 */
export class OutputMemory {
  /** Pool of the slabs in this memory, while there are any. */
  readonly pool = new SlabPool(this)
  readonly #fd: number
  readonly #fresh: boolean
  #control: Control | undefined
  #nextSlab = 0
  readonly #freeSlabs: number[] = []
  /** The slab that all ended processes share. */
  #shared: Slab | undefined

  /**
   * @param fd the memory, from now on this object's, which is closed if it throws as `mapMemory`.
   * @param fresh nothing was ever written there. It is mapped at its first use then, which may throw in the same way:
   * V8 counts its 4 MB, most of which are never written, and would collect garbage for them in the middle of a start.
   */
  constructor(fd: number, fresh = false) {
    this.#fd = fd
    this.#fresh = fresh
    if (!fresh) this.#control = orClose(fd, () => mapControl(fd))
  }

  get control(): Uint8Array {
    return this.#mapped.bytes
  }

  get numbers(): Float64Array {
    return this.#mapped.numbers
  }

  get #words(): Uint32Array {
    return this.#mapped.words
  }

  get #mapped(): Control {
    if (this.#control !== undefined) return this.#control
    this.#control = mapControl(this.#fd)
    this.#mark()
    return this.#control
  }

  #mark(): void {
    this.#words[HEAD.magic] = MAGIC
    this.#words[HEAD.version] = VERSION
  }

  /** Whether it is of this version, or new. */
  get known(): boolean {
    const [magic, version] = [this.#words[HEAD.magic], this.#words[HEAD.version]]
    return (magic === MAGIC && version === VERSION) || (magic === 0 && version === 0)
  }

  /**
   * Completes the read that an earlier daemon ended in, and takes back what it has left of these keys. To be called
   * once, before anything else, and if it is known.
   */
  recover(keys: ReadonlySet<number>): ReadonlyMap<number, FoundOutput> {
    if (this.#fresh) return new Map()
    const slab = (number: number) => this.#map(number)
    const { outputs, used } = findOutput({ words: this.#words, numbers: this.numbers, slab }, keys)
    this.#mark()
    this.#nextSlab = used.length
    for (const [number, inUse] of used.entries()) if (!inUse) this.#freeSlabs.push(number)
    return outputs
  }

  take(): Pick<Slab, 'memory' | 'number'> | undefined {
    const number = this.#freeSlabs.pop() ?? this.#nextSlab++
    if (number >= MAX_SLABS) return undefined
    try {
      return { memory: this.#map(number), number }
    } catch {
      // The address space or the kernel's memory is spent: a slab elsewhere, whose bytes do not outlive the daemon.
      this.#freeSlabs.push(number)
      return undefined
    }
  }

  clear(number: number): void {
    this.#words[tableAt(number)] = 0
  }

  giveUp({ number, memory }: Slab): void {
    if (number === undefined) return
    this.clear(number)
    clearMemory(memory)
    this.#freeSlabs.push(number)
  }

  /**
   * Room for bytes that stay after the end of their process, beside those of others. `commit`, with the bytes in place,
   * keeps them; the hold on the slab is the caller's. Undefined: there is none.
   */
  place(
    length: number,
    { key, stream, offset }: { readonly key: number; readonly stream: number; readonly offset: number },
  ) {
    const size = chunkBytes(length)
    let slab = this.#shared
    if (slab === undefined || SLAB_BYTES - slab.used < size) {
      if (slab !== undefined) this.pool.release(slab)
      slab = this.pool.withRoom(undefined)
      this.#shared = slab
    }
    const { number, memory, used: at } = slab
    if (number === undefined) {
      this.pool.release(slab)
      this.#shared = undefined
    }
    if (number === undefined || SLAB_BYTES - at < size) return undefined
    const end = at + size
    slab.used = end
    slab.chunks++
    const slot = slotAt(key)
    const generation = this.numbers[slot + SLOT.generation] ?? 0
    const order = this.numbers[slot + SLOT.order] ?? 0
    const commit = () => {
      writeHeader(memory, at, { key, generation, length, stream, offset, order })
      this.numbers[slot + SLOT.order] = order + 1
      this.#words[tableAt(number)] = end
    }
    return { slab, bytes: memory.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length), commit }
  }

  /** Nothing is kept from now on. */
  close(): void {
    close(this.#fd)
  }

  #map(number: number): Buffer {
    return Buffer.from(mapMemory(this.#fd, SLABS_AT + number * SLAB_BYTES, SLAB_BYTES))
  }
}

/** The control part, in the sizes of its numbers. */
interface Control {
  readonly bytes: Uint8Array
  readonly numbers: Float64Array
  readonly words: Uint32Array
}

/** Throws as `mapMemory`. */
function mapControl(fd: number): Control {
  const control = mapMemory(fd, 0, CONTROL_BYTES)
  return { bytes: new Uint8Array(control), numbers: new Float64Array(control), words: new Uint32Array(control) }
}

function orClose<T>(fd: number, make: () => T): T {
  try {
    return make()
  } catch (error) {
    close(fd)
    throw error
  }
}

interface Header {
  readonly key: number
  readonly generation: number
  readonly length: number
  readonly stream: number
  readonly offset: number
  readonly order: number
}

function writeHeader(memory: Buffer, at: number, { key, generation, length, stream, offset, order }: Header): void {
  memory.writeUInt32LE(key, at)
  memory.writeUInt32LE(generation, at + 4)
  memory.writeUInt32LE(length, at + 8)
  memory.writeUInt32LE(stream, at + 12)
  memory.writeDoubleLE(offset, at + 16)
  memory.writeDoubleLE(order, at + 24)
}

/**
 * Takes over the memory that an earlier daemon has deposited (`OUTPUT_KEY`), or makes it and has it kept, also where
 * that one's is of another version. Throws with `code`.
 */
export function openOutputMemory(keeper: Keeper, deposit: Deposit | undefined): OutputMemory {
  const [found, ...others] = deposit?.descriptors ?? []
  for (const fd of others) close(fd)
  if (found !== undefined) {
    const memory = new OutputMemory(found)
    if (memory.known) return memory
    memory.close()
  }
  const fd = sharedMemory(SLABS_AT + MAX_SLABS * SLAB_BYTES)
  try {
    const memory = new OutputMemory(duplicate(fd), true)
    keeper.put(OUTPUT_KEY, 0, [fd])
    return memory
  } finally {
    close(fd)
  }
}
