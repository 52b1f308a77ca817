import { freeNow } from '../budget/memory.ts'

/** Room for the frame of a full read, 64 KiB, in base64. */
const SLAB_BYTES = 88 * 1024

/** Smaller frames are not worth a slab: the allocator serves them without going to the kernel. */
const MIN_POOLED_BYTES = 8 * 1024

/**
 * Slabs kept for the next frames, 2.8 MB: a stream has one or two under way, and few streams run at full speed at once.
 */
const MAX_FREE = 32

/**
 * Memory for large frames that only one client gets. A stream of output makes thousands of them a second; left to the
 * garbage collector, they would take a hundred megabytes between two collections.
 */
export class FramePool {
  readonly #free: ArrayBuffer[] = []
  /** Slabs that are in use. */
  readonly #lent = new WeakSet<ArrayBufferLike>()

  /** Memory of `length` bytes with any content. */
  take(length: number): Buffer {
    if (length < MIN_POOLED_BYTES || length > SLAB_BYTES) return Buffer.allocUnsafe(length)
    const slab = this.#free.pop() ?? new ArrayBuffer(SLAB_BYTES)
    this.#lent.add(slab)
    return Buffer.from(slab, 0, length)
  }

  /** To be called when the frame was sent: its memory is used again, or freed. Ignores frames of others. */
  give({ buffer }: Uint8Array<ArrayBufferLike>): void {
    if (!this.#lent.delete(buffer)) return
    // The cast holds: memory that was lent was made by `take`.
    if (this.#free.length < MAX_FREE) this.#free.push(buffer as ArrayBuffer)
    else freeNow(new Uint8Array(buffer))
  }
}
