import { freeNow } from '../budget/memory.ts'

/**
 * Size of one slab and so of the largest read: as much as a Linux pipe holds, so that one read empties a full pipe.
 */
export const SLAB_BYTES = 64 * 1024

/** A read is not worth a system call below this: a slab with less room is left and a new one taken. */
const MIN_READ_BYTES = 4 * 1024

/** Free slabs kept for the next process; more are given up. 4 MiB covers 64 busy pipes between two trims. */
const MAX_FREE_SLABS = 64

/** A piece of memory that several chunks of output lie in; back in the pool when the last of them is released. */
export interface Slab {
  readonly memory: Buffer
  /** Its number in the memory that outlives the daemon; undefined: it is in the daemon's own memory. */
  readonly number?: number
  used: number
  chunks: number
}

/** Where slabs come from that outlive the daemon (`OutputMemory`). */
interface SlabSource {
  /** Undefined: there are no more. */
  take(): Pick<Slab, 'memory' | 'number'> | undefined
  /** The content of the slab is not needed any more. */
  clear(number: number): void
  /** The pool has no use for the slab any more. */
  giveUp(slab: Slab): void
}

/**
 * Reusable memory for output. Slabs never leave the process side: frames are copies, so a released slab can be written
 * again at once.
 */
export class SlabPool {
  readonly #free: Slab[] = []
  readonly #source: SlabSource | undefined

  /** @param source default: memory of the daemon's own. */
  constructor(source?: SlabSource) {
    this.#source = source
  }

  /**
   * `slab` if a read is worth making into the rest of it, else another one. The caller drops its hold on the old one.
   * @param most bytes of a slab that the caller will use: pages that are never written take no memory.
   */
  withRoom(slab: Slab | undefined, most = SLAB_BYTES): Slab {
    if (slab !== undefined) {
      if (most - slab.used >= Math.min(MIN_READ_BYTES, most / 2)) return slab
      this.release(slab)
    }
    const next = this.#free.pop() ?? { ...this.#memory(), used: 0, chunks: 0 }
    if (next.number !== undefined) this.#source?.clear(next.number)
    next.used = 0
    next.chunks = 1
    return next
  }

  /** Releases one hold on the slab: a chunk's or the reading side's. */
  release(slab: Slab): void {
    slab.chunks--
    if (slab.chunks > 0) return
    if (this.#free.length < MAX_FREE_SLABS) this.#free.push(slab)
    else if (slab.number === undefined) freeNow(slab.memory)
    else this.#source?.giveUp(slab)
  }

  /** Releases what holds the bytes of a chunk: its slab, or memory of their own, which is not used from now on. */
  releaseBytes({ bytes, slab }: { readonly bytes: Uint8Array; readonly slab: Slab | undefined }): void {
    if (slab === undefined) freeNow(bytes)
    else this.release(slab)
  }

  #memory(): Pick<Slab, 'memory' | 'number'> {
    return this.#source?.take() ?? { memory: Buffer.allocUnsafeSlow(SLAB_BYTES) }
  }
}
