import type { Hold } from './budget.ts'

/** Memory of one request: counted in the byte budget, and given back to the kernel as soon as the request is over. */
export interface Memory {
  /** Memory with any content. Throws as `Hold.grow`. */
  allocate(bytes: number): Buffer
  /** Releases what came from `allocate`, or a view of it, which must not be used afterwards. */
  free(buffer: Buffer): void
  /** Counts bytes that are not from here. Throws as `Hold.grow`. */
  count(bytes: number): void
  /** Frees everything. Views of it are empty from then on. Idempotent. */
  release(): void
}

/**
 * A request that takes no more passes even when the budget is spent: a signal, a list, the token. The connection that
 * it comes by takes more.
 */
const ALWAYS_ALLOWED = 4 * 1024

/**
 * Below it freeing by hand is not worth the time, and a buffer may be one that a parser of forms keeps for what may
 * become a boundary.
 */
const MIN_FREED = 16 * 1024

/** Makes the memory of a request, which releases `hold`. */
export function createMemory(hold: Hold): Memory {
  // Most requests allocate nothing.
  let buffers: Map<ArrayBufferLike, Buffer> | undefined
  let uncounted = 0
  const count = (bytes: number) => {
    if (hold.tryGrow(bytes)) return
    if (hold.bytes + uncounted + bytes > ALWAYS_ALLOWED) return hold.grow(bytes)
    uncounted += bytes
  }
  return {
    count,
    allocate: (bytes) => {
      count(bytes)
      const buffer = Buffer.allocUnsafeSlow(bytes)
      buffers ??= new Map()
      buffers.set(buffer.buffer, buffer)
      return buffer
    },
    free: (view) => {
      const buffer = buffers?.get(view.buffer)
      if (buffer === undefined) return
      buffers?.delete(view.buffer)
      hold.shrink(buffer.length)
      freeNow(buffer)
    },
    release: () => {
      for (const buffer of buffers?.values() ?? []) freeNow(buffer)
      buffers = undefined
      hold.release()
    },
  }
}

/**
 * Takes the memory from a buffer that has all of it, instead of waiting for the garbage collector. The buffer is empty
 * then.
 */
export function freeNow({ buffer, byteLength }: Uint8Array): void {
  if (byteLength >= MIN_FREED && buffer.byteLength === byteLength && buffer instanceof ArrayBuffer) buffer.transfer(0)
}
