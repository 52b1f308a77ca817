import { create } from '@bufbuild/protobuf'
import { envelope } from '../calls/envelope.ts'
import { type Codec, messageFrame } from '../calls/message-frame.ts'
import { StartResponseSchema } from '../gen/process/process_pb.js'
import { toEvent } from './convert.ts'
import type { StreamItem } from './follow.ts'
import type { FramePool } from './frame-pool.ts'
import type { Chunk, StreamName } from './output-log.ts'

interface FrameOptions {
  readonly codec: Codec
  readonly pool: FramePool
  /** They say where in its stream their output begins. */
  readonly offsets: boolean
}

/**
 * The frame of one chunk of output. It is made once per codec, also for many readers: handing bytes straight into a
 * frame is several times as fast as building a message and letting the library encode it. The frame of the last reader
 * comes from `pool`, to which it is returned once it is sent.
 */
export function chunkFrame(chunk: Chunk, { codec, pool, offsets }: FrameOptions): Uint8Array {
  const form = offsets ? codec : `${codec} without offset`
  const known = chunk.frames?.get(form)
  if (known !== undefined) return known
  const encode = codec === 'json' ? jsonFrame : protoFrame
  if (chunk.pending === 0) return encode(chunk, offsets, (length) => pool.take(length))
  const frame = encode(chunk, offsets, Buffer.allocUnsafe)
  chunk.frames ??= new Map()
  chunk.frames.set(form, frame)
  return frame
}

type Allocate = (length: number) => Buffer

/** The frame of any item of a process stream; Start and Connect have the same response but for its name. */
export function itemFrame(item: StreamItem<Uint8Array>, codec: Codec): Uint8Array {
  if (item.kind === 'data') return item.data
  const message = create(StartResponseSchema, { event: toEvent(item, true) })
  return messageFrame(StartResponseSchema, message, codec)
}

function jsonFrame({ stream, bytes, offset }: Chunk, offsets: boolean, allocate: Allocate): Uint8Array {
  const before = `{"event":{"data":{"${stream}":"`
  const after = offsets ? `","offset":"${offset}"}}}` : '"}}}'
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64')
  const fill = (frame: Buffer, offset: number) => {
    frame.write(before, offset, 'latin1')
    frame.write(text, offset + before.length, 'latin1')
    frame.write(after, offset + before.length + text.length, 'latin1')
  }
  return envelope(0, before.length + text.length + after.length, fill, allocate)
}

/** Field numbers of DataEvent's streams. */
const fields: Record<StreamName, number> = { stdout: 1, stderr: 2, pty: 3 }

/** Tag of DataEvent's offset: field 4, a varint. */
const OFFSET_TAG = 4 << 3

/** `event` (1) of the response, `data` (2) of ProcessEvent, the stream of DataEvent: each a length-delimited field. */
function protoFrame({ stream, bytes, offset }: Chunk, offsets: boolean, allocate: Allocate): Uint8Array {
  const position = offsets ? [OFFSET_TAG, ...varint(offset)] : []
  const inner = [...position, tag(fields[stream]), ...varint(bytes.length)]
  const middle = [tag(2), ...varint(inner.length + bytes.length)]
  const outer = [tag(1), ...varint(middle.length + inner.length + bytes.length)]
  const head = [...outer, ...middle, ...inner]
  const fill = (frame: Buffer, offset: number) => {
    frame.set(head, offset)
    frame.set(bytes, offset + head.length)
  }
  return envelope(0, head.length + bytes.length, fill, allocate)
}

function tag(field: number): number {
  return (field << 3) | 2
}

function varint(value: number): number[] {
  const bytes: number[] = []
  let rest = value
  // An offset may have more than the 32 bits of a shift.
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  return [...bytes, rest]
}
