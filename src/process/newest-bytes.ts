import type { Chunk, StreamName } from './output-log.ts'

/** A copy of the last `length` bytes of these chunks, in their order, or of the chunks of one stream only. */
export function newestBytes(chunks: readonly Chunk[], length: number, only?: StreamName): Buffer {
  const parts: Uint8Array[] = []
  let missing = length
  for (let index = chunks.length - 1; index >= 0 && missing > 0; index--) {
    const chunk = chunks[index]
    if (chunk === undefined || (only !== undefined && chunk.stream !== only)) continue
    const bytes = chunk.bytes.subarray(-missing)
    parts.push(bytes)
    missing -= bytes.length
  }
  return Buffer.concat(parts.reverse())
}
