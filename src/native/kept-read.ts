import { loadAddon } from './load.ts'

interface KeptReadFunctions {
  mapMemory(fd: number, offset: number, length: number): ArrayBuffer
  clearMemory(bytes: Uint8Array): number
  readKept(
    fd: number,
    control: Uint8Array,
    slab: Uint8Array,
    number: number,
    at: number,
    most: number,
    place: number,
  ): number
}

const addon = loadAddon<KeptReadFunctions>()

/**
 * mmap(2) of a part of such memory as `sharedMemory` makes, shared with all that map it, and in no core file.
 * `offset` is a multiple of a page. The descriptor stays the caller's; the mapping goes with the buffer. Throws with
 * `code`: EINVAL for memory that is shorter.
 */
export const mapMemory = addon.mapMemory
/**
 * madvise(2), MADV_REMOVE: whole pages of such memory are zeros from now on and take none. 0, or the negative errno;
 * where the kernel cannot (gVisor), the bytes stay what they were.
 */
export const clearMemory = addon.clearMemory
/**
 * read(2) of at most `most` bytes into a slab, behind a header at `at`, with the positions of its process counted
 * (`process/output-layout.ts`). If the process is killed meanwhile the next one finds what was read. `place`: three
 * times the key, and the number of the stream. The number of bytes, 0 at the end, or the negative errno.
 */
export const readKept = addon.readKept
