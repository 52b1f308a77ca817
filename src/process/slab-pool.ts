/**
 * Size of one slab and so of the largest read: as much as a Linux pipe holds, so that one read empties a full pipe.
 */
export const SLAB_BYTES = 64 * 1024

/** A read is not worth a system call below this: a slab with less room is left and a new one taken. */
const MIN_READ_BYTES = 4 * 1024

/**
 * Free slabs kept for the next process; more go to the garbage collector. 4 MiB covers 64 busy pipes between two trims.
 */
const MAX_FREE_SLABS = 64

/** A piece of memory that several chunks of output lie in; back in the pool when the last of them is released. */
export interface Slab {
  readonly memory: Buffer
  used: number
  chunks: number
}

/**
 * Reusable memory for output. Slabs never leave the process side: frames are copies, so a released slab can be written
 * again at once.
 */
export class SlabPool {
  readonly #free: Slab[] = []

  /**
   * `slab` if a read is worth making into the rest of it, else another one. The caller drops its hold on the old one.
   */
  withRoom(slab: Slab | undefined): Slab {
    if (slab !== undefined) {
      if (SLAB_BYTES - slab.used >= MIN_READ_BYTES) return slab
      this.release(slab)
    }
    const next = this.#free.pop() ?? { memory: Buffer.allocUnsafeSlow(SLAB_BYTES), used: 0, chunks: 0 }
    next.used = 0
    next.chunks = 1
    return next
  }

  /** Releases one hold on the slab: a chunk's or the reading side's. */
  release(slab: Slab): void {
    slab.chunks--
    if (slab.chunks === 0 && this.#free.length < MAX_FREE_SLABS) this.#free.push(slab)
  }
}
