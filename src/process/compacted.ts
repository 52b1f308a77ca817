import type { Chunk } from './output-log.ts'
import { SLAB_BYTES } from './slab-pool.ts'

/**
 * The same output, in its order, as few chunks with memory of their own: what follows itself in its stream becomes one
 * chunk of at most `SLAB_BYTES`. The slabs of the old ones are the caller's to release.
 */
export function compacted(chunks: readonly Chunk[]): Chunk[] {
  return [...neighbours(chunks)].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const { stream, offset } = first
    // Not from Node's pool of 8 KiB pieces, of which a few bytes would keep a whole one.
    const bytes = Buffer.allocUnsafeSlow(lengthOf(group))
    let at = 0
    for (const chunk of group) {
      bytes.set(chunk.bytes, at)
      at += chunk.bytes.length
    }
    return [{ stream, bytes, offset, slab: undefined, pending: 0, frames: undefined }]
  })
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

/** Whether it goes on where the group ends (`OutputLog.skip` leaves gaps), and has room in it. */
function follows({ stream, offset, bytes }: Chunk, group: readonly Chunk[]): boolean {
  const [first, last] = [group[0], group.at(-1)]
  if (first === undefined || last === undefined) return true
  const goesOn = last.stream === stream && last.offset + last.bytes.length === offset
  return goesOn && offset + bytes.length - first.offset <= SLAB_BYTES
}

function lengthOf(chunks: readonly Chunk[]): number {
  return chunks.reduce((sum, { bytes }) => sum + bytes.length, 0)
}
