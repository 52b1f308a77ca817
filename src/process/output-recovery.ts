import {
  chunkBytes,
  END,
  HEAD,
  HEADER_BYTES,
  isMark,
  MAGIC,
  MARK_BYTES,
  MAX_SLABS,
  SLOT,
  STREAMS,
  slotAt,
  tableAt,
  VERSION,
} from './output-layout.ts'
import type { Chunk } from './output-log.ts'
import type { Slab } from './slab-pool.ts'
import { SLAB_BYTES } from './slab-pool.ts'

/** What an earlier daemon has left of the output of one process. */
export interface FoundOutput {
  /** In the order of their arrival, those of each stream without a gap up to its position. */
  readonly chunks: Chunk[]
  /** Its account of the process (`KeptAccount`), with the hold on its slab. */
  end: { readonly bytes: Uint8Array; readonly slab: Slab } | undefined
}

interface Memory {
  readonly words: Uint32Array
  readonly numbers: Float64Array
  slab(number: number): Buffer
}

interface Piece {
  readonly key: number
  readonly order: number
  readonly stream: number
  readonly offset: number
  readonly bytes: Buffer
  readonly slab: Slab
}

/**
 * Completes the read under way, and finds the chunks of these keys. `used`: which slabs have any; the chunks have the
 * only holds on them. Chunks that are not used are marked as free.
 */
export function findOutput(memory: Memory, keys: ReadonlySet<number>) {
  const { words } = memory
  const outputs = new Map<number, FoundOutput>()
  const used: boolean[] = []
  if (words[HEAD.magic] !== MAGIC || words[HEAD.version] !== VERSION) return { outputs, used }
  completeRead(memory)
  const slabs: Slab[] = []
  const pieces = [...piecesOf(memory, keys, slabs)].sort((one, other) => one.order - other.order)
  for (const [key, own] of groupByKey(pieces)) outputs.set(key, outputOf(own, positionsOf(memory, key)))
  for (const { number = 0, chunks } of slabs) {
    used[number] = chunks > 0
    if (chunks === 0) words[tableAt(number)] = 0
  }
  return { outputs, used: Array.from(used, (inUse) => inUse === true) }
}

/** The steps of `commit` in native/kept-read.cc, for a daemon that was killed between any two of them. */
function completeRead({ words, numbers, slab }: Memory): void {
  const number = (words[HEAD.slab] ?? 0) - 1
  if (number < 0 || number >= MAX_SLABS) return
  const at = words[HEAD.at] ?? 0
  const memory = slab(number)
  const length = memory.readUInt32LE(at + 8) || readLength(memory.subarray(at + HEADER_BYTES), words)
  if (length > 0) {
    memory.writeUInt32LE(length, at + 8)
    words[tableAt(number)] = at + chunkBytes(length)
    const slot = slotAt(memory.readUInt32LE(at))
    numbers[slot + memory.readUInt32LE(at + 12)] = memory.readDoubleLE(at + 16) + length
    numbers[slot + SLOT.order] = memory.readDoubleLE(at + 24) + 1
  }
  words[HEAD.slab] = 0
}

/** How many bytes the read had taken. */
function readLength(bytes: Buffer, words: Uint32Array): number {
  const asked = words[HEAD.asked] ?? 0
  if (words[HEAD.exact] === 1) {
    for (let i = Math.max(0, asked - MARK_BYTES); i < asked; i++) if (!isMark(bytes[i], i)) return asked
    return 0
  }
  let length = asked
  while (length > 0 && isMark(bytes[length - 1], length - 1)) length--
  return length
}

function* piecesOf({ words, numbers, slab: map }: Memory, keys: ReadonlySet<number>, slabs: Slab[]): Generator<Piece> {
  for (let number = 0; number < MAX_SLABS; number++) {
    const end = Math.min(words[tableAt(number)] ?? 0, SLAB_BYTES)
    if (end === 0) continue
    const memory = map(number)
    const slab: Slab = { memory, number, used: SLAB_BYTES, chunks: 0 }
    slabs.push(slab)
    for (let at = 0; at + HEADER_BYTES <= end; ) {
      const [key, generation, length] = [0, 4, 8].map((place) => memory.readUInt32LE(at + place)) as [
        number,
        number,
        number,
      ]
      const begin = at + HEADER_BYTES
      if (begin + length > end) break
      if (keys.has(key) && numbers[slotAt(key) + SLOT.generation] === generation) {
        slab.chunks++
        const bytes = memory.subarray(begin, begin + length)
        const [stream, offset, order] = [
          memory.readUInt32LE(at + 12),
          memory.readDoubleLE(at + 16),
          memory.readDoubleLE(at + 24),
        ]
        yield { key, order, stream, offset, bytes, slab }
      }
      at += chunkBytes(length)
    }
  }
}

function groupByKey(pieces: readonly Piece[]): Map<number, Piece[]> {
  const groups = new Map<number, Piece[]>()
  for (const piece of pieces) {
    const group = groups.get(piece.key)
    if (group === undefined) groups.set(piece.key, [piece])
    else group.push(piece)
  }
  return groups
}

function positionsOf({ numbers }: Memory, key: number): readonly number[] {
  return STREAMS.map((_, index) => numbers[slotAt(key) + index] ?? 0)
}

function outputOf(pieces: readonly Piece[], produced: readonly number[]): FoundOutput {
  const end = pieces.findLast(({ stream }) => stream === END)
  const streams = STREAMS.map((_, stream) => upTo(produced[stream] ?? 0, pieces, stream))
  const kept = new Set(streams.flat())
  const chunks: Chunk[] = []
  for (const piece of pieces) {
    // The next chunk of the stream rather than this one: a compacted chunk has a higher order than chunks that follow
    // it.
    const next = kept.has(piece) ? streams[piece.stream]?.shift() : undefined
    const stream = STREAMS[piece.stream]
    if (next !== undefined && stream !== undefined) {
      const { bytes, offset, slab } = next
      chunks.push({ stream, bytes, offset, slab, pending: 0, frames: undefined })
    } else if (piece !== end) drop(piece)
  }
  return { chunks, end }
}

/**
 * The pieces of a stream that lead to its position without a gap. A daemon that was killed while it compacted has left
 * the same bytes twice, as one chunk and as some of its parts: the one chunk is used.
 */
function upTo(position: number, pieces: readonly Piece[], stream: number): Piece[] {
  const longest = new Map<number, Piece>()
  for (const piece of pieces) {
    if (piece.stream !== stream || piece.bytes.length === 0) continue
    const end = piece.offset + piece.bytes.length
    if (piece.offset < (longest.get(end)?.offset ?? Number.POSITIVE_INFINITY)) longest.set(end, piece)
  }
  const found: Piece[] = []
  for (let next = longest.get(position); next !== undefined; next = longest.get(next.offset)) found.push(next)
  return found.reverse()
}

function drop({ slab, bytes }: Piece): void {
  slab.chunks--
  slab.memory.writeUInt32LE(0, bytes.byteOffset - HEADER_BYTES)
}
