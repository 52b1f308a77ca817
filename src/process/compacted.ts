import type { KeptOutput } from './kept-output.ts'
import { HEADER_BYTES } from './output-layout.ts'
import type { Chunk } from './output-log.ts'
import { SLAB_BYTES } from './slab-pool.ts'

/** Bytes of output that fit into one slab. */
const MAX_BYTES = SLAB_BYTES - HEADER_BYTES

/**
 * Merges consecutive output of the same stream into chunks of at most `MAX_BYTES`, with memory of their own. The order
 * stays. The caller releases the slabs of the old chunks.
 * @param kept the memory in which the next daemon finds them.
 */
export function compacted(chunks: readonly Chunk[], kept?: KeptOutput): Chunk[] {
  return [...neighbours(chunks)].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const { stream, offset } = first
    // Not from Node's pool of 8 KiB pieces, of which a few bytes would keep a whole one.
    const length = lengthOf(group)
    const placed = kept?.place(stream, offset, length)
    const bytes = placed?.bytes ?? Buffer.allocUnsafeSlow(length)
    let at = 0
    for (const chunk of group) {
      bytes.set(chunk.bytes, at)
      at += chunk.bytes.length
    }
    placed?.commit()
    return [{ stream, bytes, offset, slab: placed?.slab, pending: 0, frames: undefined }]
  })
}

/** Slabs that a process may leave half empty: one for each of its streams. */
const SPARE_SLABS = 3

/**
 * Compacts the output that an earlier daemon has left if its slabs are less than half full on average, as every crash
 * begins another slab. The order stays.
 * @param release releases an old chunk.
 */
export function dense(found: Chunk[], kept: KeptOutput, release: (chunk: Chunk) => void): Chunk[] {
  const slabs = new Set(found.map(({ slab }) => slab))
  if (slabs.size <= SPARE_SLABS + (2 * lengthOf(found)) / SLAB_BYTES) return found
  const chunks = compacted(found, kept)
  for (const chunk of found) release(chunk)
  return chunks
}

function* neighbours(chunks: readonly Chunk[]): Generator<readonly Chunk[], void> {
  let group: Chunk[] = []
  for (const chunk of chunks) {
    if (!follows(chunk, group)) {
      yield group
      group = []
    }
    group.push(chunk)
  }
  yield group
}

/** Whether a chunk continues the group without a gap (`OutputLog.skip` leaves gaps) and fits into it. */
function follows({ stream, offset, bytes }: Chunk, group: readonly Chunk[]): boolean {
  const [first, last] = [group[0], group.at(-1)]
  if (first === undefined || last === undefined) return true
  const goesOn = last.stream === stream && last.offset + last.bytes.length === offset
  return goesOn && offset + bytes.length - first.offset <= MAX_BYTES
}

function lengthOf(chunks: readonly Chunk[]): number {
  return chunks.reduce((sum, { bytes }) => sum + bytes.length, 0)
}
