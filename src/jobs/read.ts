import { freeNow } from '../budget/memory.ts'
import type { Output } from '../process/convert.ts'
import type { Chunk, Offsets, OutputLog, StreamName } from '../process/output-log.ts'
import type { OutputReader } from '../process/output-reader.ts'

/** What of the output that is there is to be read. */
interface ReadPlan {
  readonly from: Offsets | 'oldest'
  /** Also what comes from now on. */
  readonly follow: boolean
  /** Bytes at the beginning and at the end of what is there now; both undefined: all of it. */
  readonly head: number | undefined
  readonly tail: number | undefined
}

/** Output that is being read. */
export interface Reading {
  readonly reader: OutputReader
  /** Bytes of each stream that are left out between head and tail. */
  readonly skipped: Offsets
  /**
   * Pieces, copied, and undefined after each `keepalive` milliseconds without one. Ends with the output, or without `follow`
   * with what was there.
   */
  pieces(keepalive: number): AsyncGenerator<Output | undefined, void>
}

interface Gap {
  readonly start: number
  readonly end: number
}

/** Begins to read. The caller closes the reader. Throws as `OutputLog.reader`. */
export function openReading(output: OutputLog, plan: ReadPlan, signal: AbortSignal): Reading {
  const reader = output.reader(signal, plan.from)
  const gaps = gapsOf(plan, reader.begins, output.range.produced)
  const until = plan.follow ? Number.POSITIVE_INFINITY : output.bytes
  const lengthOf = ({ start, end }: Gap) => end - start
  const skipped = { stdout: lengthOf(gaps.stdout), stderr: lengthOf(gaps.stderr), pty: lengthOf(gaps.pty) }
  return { reader, skipped, pieces: (keepalive) => read(reader, { gaps, until, keepalive }) }
}

function gapsOf({ head, tail }: ReadPlan, begins: Offsets, produced: Offsets): Record<StreamName, Gap> {
  const gapOf = (stream: StreamName): Gap => {
    const start = head === undefined && tail === undefined ? produced[stream] : begins[stream] + (head ?? 0)
    return { start, end: Math.max(start, produced[stream] - (tail ?? 0)) }
  }
  return { stdout: gapOf('stdout'), stderr: gapOf('stderr'), pty: gapOf('pty') }
}

interface ReadOptions {
  readonly gaps: Readonly<Record<StreamName, Gap>>
  /** `OutputReader.position` to end at. */
  readonly until: number
  readonly keepalive: number
}

async function* read(
  reader: OutputReader,
  { gaps, until, keepalive }: ReadOptions,
): AsyncGenerator<Output | undefined, void> {
  while (reader.position < until) {
    const state = await reader.readable(keepalive)
    if (state === 'end') return
    if (state === 'quiet') yield undefined
    while (reader.position < until) {
      const pieces = reader.take((chunk) => piecesOf(chunk, gaps[chunk.stream]))
      if (pieces === undefined) break
      for (const piece of pieces) {
        yield piece
        // It is in a message by now, which is a copy.
        freeNow(piece.bytes)
      }
    }
  }
}

/** What of a chunk lies outside the gap. */
function piecesOf(chunk: Chunk, { start, end }: Gap): Output[] {
  const chunkEnd = chunk.offset + chunk.bytes.length
  const ranges =
    start < end ? [part(chunk, chunk.offset, start), part(chunk, end, chunkEnd)] : [part(chunk, 0, chunkEnd)]
  return ranges.filter(({ bytes }) => bytes.length > 0)
}

function part({ stream, offset, bytes }: Chunk, from: number, to: number): Output {
  const begin = Math.max(from, offset)
  const copied = Uint8Array.from(bytes.subarray(begin - offset, Math.max(begin - offset, to - offset)))
  return { stream, offset: begin, bytes: copied }
}
